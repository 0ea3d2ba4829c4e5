// The members of a group: found, added and taken out here; each edit is one of an instance, and goes
// into the draft. pages/group.tsx shows it.

import { useMemo, useState } from "preact/hooks";

import type { Group, Instance } from "../api";
import { mayEdit, useApp, useCalm } from "../app";
import { useDraft } from "../draft/store";
import { putInstance } from "../model/draft";
import type { Draft } from "../model/draft";
import { counted } from "../model/list";
import { addressesOf } from "../model/port";
import { Filter } from "../ui/field";
import { NamesField } from "../ui/names";
import { Empty, Failure, Old, Waiting } from "../ui/notice";
import { usePaged } from "../ui/paged";
import { Table } from "../ui/table";
import type { Column } from "../ui/table";
import { InstanceLink, Mark } from "../ui/words";

interface Row {
  instance: Instance;
  state: "" | "new" | "removed";
}

function rowsOf(list: Instance[], draft: Draft, group: string): Row[] {
  const known = new Set(list.map((i) => i.name));
  const isIn = (i: Instance | null) => i?.groups?.includes(group) ?? false;
  const come = Object.values(draft.instances)
    .filter((e) => e.after && isIn(e.after) && !isIn(e.before))
    .map((e): Row => ({ instance: e.after as Instance, state: "new" }));
  return [...come, ...list.filter((i) => known.has(i.name)).map((i): Row => {
    const edit = draft.instances[i.name];
    return { instance: edit?.after ?? i, state: edit && !isIn(edit.after) ? "removed" : "" };
  })];
}

const columnsOf = (mayChange: boolean,
  move: (name: string, isIn: boolean) => Promise<void>): Column<Row>[] => [
  { title: "Instance", by: (r) => r.instance.name, cell: (r) => <span class="row tight">
    <InstanceLink name={r.instance.name} />{r.state && <Mark
      kind={r.state === "new" ? "good" : "bad"}
      text={r.state === "new" ? "+ added" : "− removed"} />}</span> },
  { title: "Host", by: (r) => r.instance.host ?? "", cell: (r) => r.instance.host ?? "" },
  { title: "Addresses", wide: true, by: (r) => addressesOf(r.instance),
    cell: (r) => <code>{addressesOf(r.instance)}</code> },
  { title: "Edit", kind: "action", cell: (r) => !mayChange ? null : (
    <button type="button" class={r.state === "removed" ? "bare" : "bare lost"}
      aria-label={`${r.state === "removed" ? "Restore" : "Remove"} ${r.instance.name}`}
      onClick={() => void move(r.instance.name, r.state === "removed")}>
      {r.state === "removed" ? "Restore" : "Remove"}</button>) },
];

export function Members({ group, isNew }: { group: Group; isNew: boolean }) {
  const { client, generation, project, who } = useApp();
  const [draft, change] = useDraft(project);
  const [word, setWord] = useState("");
  const [error, setError] = useState("");
  const calm = useCalm(word.trim());
  const list = usePaged(async (after, s) => isNew ? { items: [] }
    : client.instances({ group: group.name, limit: 200, after, q: calm }, s),
  [client, group.name, isNew, calm], generation);
  const rows = useMemo(() => rowsOf(list.rows, draft, group.name), [list.rows, draft, group.name]);
  const move = async (name: string, isIn: boolean) => {
    setError("");
    try {
      const now = draft.instances[name]?.before ?? await client.instance(name);
      change((d) => {
        const as = d.instances[name]?.after ?? now;
        const rest = (as.groups ?? []).filter((g) => g !== group.name);
        return putInstance(d, name, now, { ...as, groups: isIn ? [...rest, group.name] : rest });
      });
    } catch (e) {
      setError(`${name}: ${(e as Error).message}`);
    }
  };
  const find = async (q: string, s: AbortSignal) =>
    (await client.instances({ q, limit: 20 }, s)).items.filter((i) =>
      !i.groups?.includes(group.name)).map((i) => i.name);
  return (
    <section class="card stack" aria-label="Members">
      <div class="row apart">
        <h2>Members <span class="dim">{list.more ? `${rows.length} and more`
          : counted(rows.length, "instance")}</span></h2>
        {(rows.length > 10 || word !== "") && <Filter label="Filter members" value={word}
          set={setWord} placeholder="Find a member" />}
      </div>
      {mayEdit(who) && <NamesField label="Add instances" names={[]} find={find} error={error}
        set={(names) => { for (const n of names) void move(n, true); }}
        placeholder="Instance name" />}
      <Old of={list} what="members" />
      {list.error ? <Failure error={list.error} what="load the members" again={list.again} />
        : rows.length > 0 ? <Table name="Members" rows={rows} more={list.more}
            keyOf={(r) => r.instance.name} classOf={(r) => r.state} columns={columnsOf(mayEdit(who), move)} />
        : list.busy ? <Waiting what="members" /> : calm ? <p>No members match “{calm}”.</p>
        : <Empty title="No members yet"><p>The rules apply to the instances in the group.
            Add them above; <a href="/instances">instances</a> are created on their own page.</p></Empty>}
    </section>
  );
}
