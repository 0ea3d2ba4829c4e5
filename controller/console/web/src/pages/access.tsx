// Projects and tokens: who may what. The route /access shows it to operators.

import { useRef, useState } from "preact/hooks";

import type { Project, Token } from "../api";
import { mayOperate, useApp, useAsk } from "../app";
import type { Asked } from "../app";
import type { Listed } from "../api";
import { isTime } from "../model/time";
import { go } from "../go";
import { Dialog } from "../ui/dialog";
import { TextField } from "../ui/field";
import { Empty, Failure, Notice, Waiting } from "../ui/notice";
import { Table } from "../ui/table";
import { Age } from "../ui/time";
import { Mark } from "../ui/words";
import { NewTokenDialog } from "./newtoken";

export default function AccessPage() {
  const { who } = useApp();
  if (!mayOperate(who)) {
    return <div class="stack"><h1>Access</h1>
      <Notice kind="warn" title="No permission">
        <p>Projects and tokens are for operators of all projects; your role is {who.role}
          {who.project ? ` in project ${who.project}` : ""}.</p></Notice></div>;
  }
  return <div class="stack wide"><h1>Access</h1><Projects /><Tokens /></div>;
}

function Projects() {
  const { client, generation } = useApp();
  const asked = useAsk((s) => client.projects({ limit: 1000 }, s), [client, generation]);
  const [making, setMaking] = useState(false);
  const [error, setError] = useState<unknown>();
  const remove = (p: Project) => client.removeProject(p.name).then(asked.again, setError);
  return (
    <section class="card stack" aria-label="Projects">
      <div class="row apart">
        <h2>Projects</h2>
        <button type="button" onClick={() => setMaking(true)}>New project</button>
      </div>
      {error !== undefined && <Failure error={error} what="remove the project" />}
      {asked.error ? <Failure error={asked.error} what="load the projects" again={asked.again} />
        : !asked.data ? <Waiting what="projects" /> : asked.data.items.length === 0 ? (
          <Empty title="No projects yet">
            <p>A project has its own groups and instances, and people and tokens that see nothing
              else.</p></Empty>
        ) : <Table name="Projects" rows={asked.data.items} keyOf={(p) => p.name} columns={[
          { title: "Project", by: (p) => p.name, cell: (p) => <a class="name"
            href={`/?project=${encodeURIComponent(p.name)}`}>{p.name}</a> },
          { title: "Description", wide: true, cell: (p) => <span class="dim">{p.description}</span> },
          { title: "Groups", kind: "number", by: (p) => p.groups, cell: (p) => p.groups },
          { title: "Instances", kind: "number", by: (p) => p.instances, cell: (p) => p.instances },
          { title: "Remove", kind: "action", cell: (p) => p.groups + p.instances > 0 ? null
            : <button type="button" class="bare lost" aria-label={`Remove project ${p.name}`}
                onClick={() => void remove(p)}>Remove</button> },
        ]} />}
      {making && <NewProject close={() => setMaking(false)} />}
    </section>
  );
}

function NewProject({ close }: { close: () => void }) {
  const { client, say } = useApp();
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  const [error, setError] = useState("");
  const make = async (e: Event) => {
    e.preventDefault();
    if (name.trim() === "") return setError("Enter a name, such as shop.");
    try {
      await client.makeProject(name.trim(), description.trim());
      say(`Project ${name} is created.`);
      close();
      go(`/?project=${encodeURIComponent(name.trim())}`);
    } catch (why) {
      setError((why as Error).message);
    }
  };
  return (
    <Dialog title="New project" close={close}>
      <form class="stack" onSubmit={(e) => void make(e)}>
        <TextField label="Name" value={name} set={(v) => { setName(v); setError(""); }} error={error}
          placeholder="shop" hint="Others see it as the prefix of its groups' names." />
        <TextField label="Description" value={description} set={setDescription} />
        <div class="row end"><button type="submit" class="main">Create</button></div>
      </form>
    </Dialog>
  );
}

function Tokens() {
  const { client } = useApp();
  const asked = useAsk((s) => client.tokens(s), [client]);
  const [making, setMaking] = useState(false);
  return (
    <section class="card stack" aria-label="Tokens">
      <div class="row apart">
        <h2>Tokens and sessions</h2>
        <button type="button" onClick={() => setMaking(true)}>New token</button>
      </div>
      {asked.error ? <Failure error={asked.error} what="load the tokens" again={asked.again} />
        : !asked.data ? <Waiting what="tokens" /> : <List asked={asked} />}
      {making && <NewTokenDialog close={() => { setMaking(false); asked.again(); }} />}
    </section>
  );
}

function List({ asked }: { asked: Asked<Listed<Token>> }) {
  const { client, say } = useApp();
  const [revoking, setRevoking] = useState<Token>();
  const [error, setError] = useState<unknown>();
  const busy = useRef(false);
  const revoke = async (t: Token) => {
    if (busy.current) return;
    busy.current = true;
    try {
      await client.revoke(t.id);
      say(`Token ${t.id} is revoked.`);
      setRevoking(undefined);
      asked.again();
    } catch (e) {
      setError(e);
    } finally {
      busy.current = false;
    }
  };
  return <>
    <Table name="Tokens" rows={asked.data?.items ?? []} keyOf={(t) => t.id} columns={[
      { title: "Token", by: (t) => t.description ?? t.id, cell: (t) => <>
        {t.description || t.certificate || <span class="dim">no description</span>}
        <br /><code class="dim small">{t.id}</code></> },
      { title: "Kind", by: (t) => t.kind, cell: (t) => t.kind, wide: true },
      { title: "Role", by: (t) => t.role, cell: (t) => <>{t.role}, {t.project ? `project ${t.project}` : "all projects"}</> },
      { title: "Last used", by: (t) => t.last_used ?? "", cell: (t) => <Age at={t.last_used} /> },
      { title: "Expires", by: (t) => t.expires ?? "9", wide: true, cell: (t) => !isTime(t.expires)
        ? <span class="dim">never</span> : Date.parse(t.expires) < Date.now()
        ? <Mark kind="warn" text="expired" /> : <Age at={t.expires} /> },
      { title: "Created", by: (t) => t.created, wide: true, cell: (t) => <><Age at={t.created} />
        <span class="dim"> by {t.created_by}</span></> },
      { title: "Revoke", kind: "action", cell: (t) => <button type="button" class="bare lost"
        aria-label={`Revoke ${t.description ?? t.id}`} onClick={() => setRevoking(t)}>
        Revoke</button> },
    ]} />
    {revoking && <Dialog title="Revoke this token?" close={() => setRevoking(undefined)}>
      <p>Anyone who uses <strong>{revoking.description || revoking.id}</strong> loses access at once,
        and is signed out. This cannot be undone.</p>
      {error !== undefined && <Failure error={error} what="revoke the token" />}
      <div class="row end">
        <button type="button" onClick={() => setRevoking(undefined)}>Cancel</button>
        <button type="button" class="danger" onClick={() => void revoke(revoking)}>Revoke</button>
      </div>
    </Dialog>}
  </>;
}
