// The form of a new token, whose text is shown once. pages/access.tsx opens it.

import { useRef, useState } from "preact/hooks";

import { Problem, newKey } from "../api";
import type { Role } from "../api";
import { useApp } from "../app";
import { Dialog } from "../ui/dialog";
import { Select, TextField } from "../ui/field";
import { NamesField } from "../ui/names";
import { Failure, Notice } from "../ui/notice";

const roles = [["viewer", "viewer: can view"], ["editor", "editor: can also change groups and instances"],
  ["operator", "operator: can also manage projects and tokens, and roll back"]] as const;

const ends = [["1", "1 day"], ["30", "30 days"], ["365", "1 year"], ["", "never"]] as const;

export function NewTokenDialog({ close }: { close: () => void }) {
  const { client } = useApp();
  const [role, setRole] = useState<Role>("editor");
  const [project, setProject] = useState<string[]>([]);
  const [description, setDescription] = useState("");
  const [days, setDays] = useState<typeof ends[number][0]>("30");
  const [text, setText] = useState("");
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const key = useRef(newKey());
  const make = async (e: Event) => {
    e.preventDefault();
    setError(undefined);
    setBusy(true);
    try {
      const made = await client.makeToken({ role, project: project[0],
        description: description.trim() || undefined, expires: days === "" ? undefined
          : new Date(Date.now() + Number(days) * 86_400_000).toISOString() }, key.current);
      setText(made.token ?? "");
    } catch (why) {
      // without an answer it may have been made: the same key makes no second one
      if (why instanceof Problem && why.status >= 400 && why.status < 500) key.current = newKey();
      setError(why);
    } finally {
      setBusy(false);
    }
  };
  if (text !== "") return <Made text={text} close={close} />;
  const find = async (q: string, s: AbortSignal) =>
    (await client.projects({ q, limit: 20 }, s)).items.map((p) => p.name);
  return (
    <Dialog title="New token" close={close}>
      <form class="stack" onSubmit={(e) => void make(e)}>
        <TextField label="Description" value={description} set={setDescription}
          placeholder="who uses it, and for what" maxLength={255} />
        <Select label="Role" value={role} set={setRole} options={roles} />
        <NamesField label="Project" names={project} set={(l) => setProject(l.slice(-1))} find={find}
          placeholder="all projects" hint="Limits the token to one project." />
        <Select label="Expires after" value={days} set={setDays} options={ends} />
        {error !== undefined && <Failure error={error} what="create the token" />}
        <div class="row end"><button type="submit" class="main" disabled={busy}>Create</button></div>
      </form>
    </Dialog>
  );
}

function Made({ text, close }: { text: string; close: () => void }) {
  const [said, say] = useState("");
  const copy = () => navigator.clipboard.writeText(text).then(() => say("Copied."),
    () => say("The browser blocks copying: select the text and copy it."));
  return (
    <Dialog title="Token created" close={close} isFixed>
      <Notice kind="warn" title="Shown only once">
        <p>It cannot be shown again: store it with your other secrets.</p></Notice>
      <pre class="secret" tabIndex={0} aria-label="Token"><code>{text}</code></pre>
      <div class="row">
        <button type="button" onClick={() => void copy()}>Copy</button>
        <span role="status">{said}</span>
      </div>
      <div class="row end"><button type="button" class="main" onClick={close}>Done</button></div>
    </Dialog>
  );
}
