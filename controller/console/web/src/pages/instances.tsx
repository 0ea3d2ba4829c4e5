// The instances: found by name, page by page, however many there are. The route /instances shows it.

import { useMemo, useState } from "preact/hooks";

import type { Instance } from "../api";
import { mayEdit, useApp, useCalm } from "../app";
import { useDraft } from "../draft/store";
import type { Draft } from "../model/draft";
import { counted } from "../model/list";
import { addressesOf } from "../model/port";
import { Filter } from "../ui/field";
import { Empty, Failure, Old, Waiting } from "../ui/notice";
import { usePaged } from "../ui/paged";
import { Table } from "../ui/table";
import type { Column } from "../ui/table";
import { GroupLink, InstanceLink, Mark } from "../ui/words";
import { NewInstance } from "./newinstance";

interface Row extends Instance {
  state: "" | "new" | "changed" | "removed";
}

function rowsOf(list: Instance[], draft: Draft, word: string): Row[] {
  const known = new Set(list.map((i) => i.name));
  const fresh = Object.entries(draft.instances)
    .filter(([n, e]) => !known.has(n) && e.after && !e.before && n.includes(word))
    .map(([, e]): Row => ({ ...e.after as Instance, state: "new" }));
  return [...fresh, ...list.map((i): Row => {
    const edit = draft.instances[i.name];
    return { ...(edit?.after ?? i), state: !edit ? "" : edit.after ? "changed" : "removed" };
  })];
}

const columns: Column<Row>[] = [
  { title: "Instance", by: (i) => i.name, cell: (i) => <span class="row tight">
    <InstanceLink name={i.name} />{i.state && <Mark kind="new" text={`${i.state} in the draft`} />}
  </span> },
  { title: "Groups", by: (i) => (i.groups ?? []).join(), cell: (i) => <span class="cut links">
    {(i.groups ?? []).map((g) => <GroupLink key={g} name={g} />)}
    {!i.groups?.length && <span class="dim">none</span>}</span> },
  { title: "Host", by: (i) => i.host ?? "", width: "10em",
    cell: (i) => <>{i.host === "-" ? <span class="dim">none yet</span> : i.host}{i.migrating_to && <span class="warn"> → {i.migrating_to}</span>}</> },
  { title: "Addresses", wide: true, by: addressesOf,
    cell: (i) => <code class="cut" title={addressesOf(i)}>{addressesOf(i)}</code> },
];

export default function InstancesPage() {
  const { client, generation, project, who } = useApp();
  const [draft] = useDraft(project);
  const [word, setWord] = useState("");
  const [making, setMaking] = useState(false);
  const calm = useCalm(word.trim());
  const list = usePaged((after, s) => client.instances({ limit: 500, after, q: calm }, s),
    [client, calm], generation);
  const rows = useMemo(() => rowsOf(list.rows, draft, word.trim()), [list.rows, draft, word]);
  const isNone = rows.length === 0 && !list.busy && calm === "";
  return (
    <div class="stack">
      <div class="row apart">
        <h1>Instances</h1>
        {mayEdit(who) && <button type="button" class="main" onClick={() => setMaking(true)}>
          New instance</button>}
      </div>
      {list.error && rows.length === 0 ? <Failure error={list.error} what="load the instances" again={list.again} />
        : isNone ? <First make={() => setMaking(true)} mayMake={mayEdit(who)} /> : <>
          <div class="row">
            <Filter label="Filter instances" value={word} set={setWord}
              placeholder="Find an instance" />
            <span class="dim" role="status">{list.busy && rows.length === 0 ? ""
              : list.more && list.total ? `${rows.length} of ${counted(list.total, "instance")}`
              : list.more ? `first ${rows.length.toLocaleString("en")}; scroll for more`
              : counted(rows.length, "instance")}</span>
          </div>
          <Old of={list} what="instances" />
          {rows.length > 0 ? <Table name="Instances" rows={rows} columns={columns}
            keyOf={(i) => i.name} more={list.more} classOf={(i) => i.state} />
            : list.busy ? <Waiting what="instances" /> : <p>No instances match “{calm}”.</p>}
          {list.error && <Failure error={list.error} what="load more instances" again={list.again} />}
        </>}
      {making && <NewInstance close={() => setMaking(false)} />}
    </div>
  );
}

const First = ({ make, mayMake }: { make: () => void; mayMake: boolean }) => (
  <Empty title="No instances yet">
    <p>An instance is a virtual machine or a container: a port of the bridge on a host, with its MAC
      and its addresses. Its groups decide what it may send and receive.</p>
    {mayMake && <div><button type="button" class="main" onClick={make}>
      Create the first instance</button></div>}
  </Empty>
);
