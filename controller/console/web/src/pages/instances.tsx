// The instances: found by name, page by page, however many there are. The route /instances shows it.

import { useMemo, useState } from "preact/hooks";

import type { Instance } from "../api";
import { mayEdit, useApp, useCalm } from "../app";
import { useDraft } from "../draft/store";
import { addressesOf } from "../model/port";
import { ListPage, edited } from "../ui/listpage";
import type { Edited } from "../ui/listpage";
import { Empty } from "../ui/notice";
import { usePaged } from "../ui/paged";
import type { Column } from "../ui/table";
import { GroupLink, InstanceLink, Mark } from "../ui/words";
import { NewInstance } from "./newinstance";

type Row = Edited<Instance>;

const columns: Column<Row>[] = [
  { title: "Instance", by: (i) => i.name, cell: (i) => <span class="row tight">
    <InstanceLink name={i.name} />{i.state && <Mark kind="new" text={`${i.state} in the draft`} />}
  </span> },
  { title: "Groups", by: (i) => (i.groups ?? []).join(), cell: (i) => <span class="cut links">
    {(i.groups ?? []).map((g) => <GroupLink key={g} name={g} />)}
    {!i.groups?.length && <span class="dim">none</span>}</span> },
  { title: "Host", by: (i) => i.host ?? "", width: "10em",
    cell: (i) => <>{i.host === "-" ? <span class="dim">none yet</span> : i.host}
      {i.migrating_to && <span class="warn"> → {i.migrating_to}</span>}</> },
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
  const rows = useMemo(() => edited(list.rows, draft.instances, word.trim()),
    [list.rows, draft, word]);
  const make = () => setMaking(true);
  return (
    <>
      <ListPage title="Instances" one="instance" list={list} rows={rows} columns={columns}
        word={word} setWord={setWord} calm={calm} make={make}
        first={<First make={make} mayMake={mayEdit(who)} />} />
      {making && <NewInstance close={() => setMaking(false)} />}
    </>
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
