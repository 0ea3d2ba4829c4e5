// The groups: found by name, with their members and what their rules have admitted. The route / shows
// it.

import { useMemo, useState } from "preact/hooks";

import type { Counters, Group } from "../api";
import { mayEdit, useApp, useAsk, useCalm } from "../app";
import { useDraft } from "../draft/store";
import { at, go } from "../go";
import { putGroup } from "../model/draft";
import type { Draft } from "../model/draft";
import { short } from "../model/list";
import { Dialog } from "../ui/dialog";
import { TextField } from "../ui/field";
import { ListPage, edited } from "../ui/listpage";
import type { Edited } from "../ui/listpage";
import { Empty, Failure, MissingHosts } from "../ui/notice";
import { usePaged } from "../ui/paged";
import type { Column } from "../ui/table";
import { GroupLink, Mark } from "../ui/words";

type Row = Edited<Group> & { hits?: number };

/** What the rules of each group have admitted. */
function hitsOf(c: Counters | undefined): Map<string, number> | undefined {
  if (!c) return undefined;
  const out = new Map<string, number>();
  if (c.rules.length === 0 && c.missing?.length) return out; // nobody has answered
  out.set("", 0);
  for (const r of c.rules) out.set(r.group, (out.get(r.group) ?? 0) + r.admitted.packets);
  return out;
}

/** The groups as the draft makes them, with the members that the server counts. */
function rowsOf(list: Group[], draft: Draft, word: string, hits?: Map<string, number>): Row[] {
  const members = new Map(list.map((g) => [g.name, g.members]));
  return edited(list, draft.groups, word).map((g): Row => g.state === "new" ? g : { ...g,
    members: members.get(g.name),
    hits: hits && (hits.size === 0 ? -1 : hits.get(g.name) ?? 0) });
}

const rules = (g: Group, way: string) => (g.rules ?? []).filter((r) => r.direction === way).length;

const columns: Column<Row>[] = [
  { title: "Group", by: (g) => g.name, cell: (g) => <span class="row tight">
    <GroupLink name={g.name} />{g.shared && <Mark kind="plain" text="shared" />}
    {g.state && <Mark kind="new" text={`${g.state} in the draft`} />}</span> },
  { title: "Description", by: (g) => g.description ?? "", wide: true,
    cell: (g) => <span class="cut dim" title={g.description}>{g.description}</span> },
  { title: "Members", kind: "number", by: (g) => g.members ?? 0,
    cell: (g) => (g.members ?? 0).toLocaleString("en"), width: "7em" },
  { title: "Ingress", kind: "number", by: (g) => rules(g, "ingress"), width: "6em",
    cell: (g) => rules(g, "ingress") || <span class="dim">none</span> },
  { title: "Egress", kind: "number", by: (g) => rules(g, "egress"), width: "6em", wide: true,
    cell: (g) => rules(g, "egress") || <span class="dim">open</span> },
  { title: "Hits", kind: "number", by: (g) => g.hits ?? -1, width: "8em", wide: true,
    cell: (g) => g.hits === undefined ? <span class="dim">…</span>
      : g.hits < 0 ? <span class="dim">not known</span> : `${short(g.hits)} packets` },
];

export default function GroupsPage() {
  const { client, generation, project, who } = useApp();
  const [draft] = useDraft(project);
  const [word, setWord] = useState("");
  const [making, setMaking] = useState(false);
  const calm = useCalm(word.trim());
  const list = usePaged((after, s) => client.groups({ limit: 200, after, q: calm }, s),
    [client, calm], generation);
  const counters = useAsk((s) => client.counters({}, s), [client]);
  const hits = useMemo(() => hitsOf(counters.data), [counters.data]);
  const rows = useMemo(() => rowsOf(list.rows, draft, word.trim(), hits),
    [list.rows, draft, word, hits]);
  const make = () => setMaking(true);
  return (
    <>
      <ListPage title="Groups" one="group" list={list} rows={rows} columns={columns}
        sort={{ column: 0, down: false }} word={word} setWord={setWord} calm={calm} make={make}
        first={<First make={make} mayMake={mayEdit(who)} />}>
        {counters.error && <Failure error={counters.error} what="load the hits"
          again={counters.again} />}
        <MissingHosts list={counters.data?.missing} />
      </ListPage>
      {making && <NewGroup close={() => setMaking(false)} />}
    </>
  );
}

function First({ make, mayMake }: { make: () => void; mayMake: boolean }) {
  return (
    <Empty title="No groups yet">
      <p>A group is a set of instances with the same role: web servers, databases. Its rules say who
        may reach them. All ingress is denied until a rule admits it; all egress is open until one of
        the instance's groups has an egress rule.</p>
      {mayMake ? <>
        <ol>
          <li>Create a group, such as <em>frontend</em>, with a rule: <code>tcp 80, 443</code> from
            everywhere.</li>
          <li>Create another, <em>backend</em>, with <code>tcp 3306</code> from the group
            <em> frontend</em>.</li>
          <li>Add instances to them, review the plan, and apply.</li>
        </ol>
        <div><button type="button" class="main" onClick={make}>Create the first group</button></div>
      </> : <p>You have read-only access: an editor can create the first group.</p>}
    </Empty>
  );
}

function NewGroup({ close }: { close: () => void }) {
  const { client, project } = useApp();
  const [draft, change] = useDraft(project);
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  const [error, setError] = useState("");
  const make = async (e: Event) => {
    e.preventDefault();
    const own = name.trim();
    if (own === "") return setError("Enter a name, such as frontend.");
    const there = draft.groups[own] ?? await client.findGroup(own).catch(() => null);
    if (there) return setError(`A group named ${own} already exists.`);
    change((d) => putGroup(d, own, null, { name: own, description: description.trim() || undefined,
      rules: [] }));
    close();
    go(at.group(own));
  };
  return (
    <Dialog title="New group" close={close}>
      <form class="stack" onSubmit={(e) => void make(e)}>
        <TextField label="Name" value={name} set={(v) => { setName(v); setError(""); }} error={error}
          placeholder="frontend" maxLength={255} hint="It cannot be changed later." />
        <TextField label="Description" value={description} set={setDescription}
          placeholder="public web servers" maxLength={255} />
        <div class="row end"><button type="submit" class="main">Continue to rules</button></div>
      </form>
    </Dialog>
  );
}
