// The live connections of an instance, each with the rule that admitted it; asked anew when somebody
// wants. pages/instance.tsx shows it.

import { useApp, useAsk } from "../app";
import type { Connection } from "../api";
import { counted } from "../model/list";
import { endsOf } from "../draft/plan";
import { Failure, MissingHosts, Waiting } from "../ui/notice";
import { Table } from "../ui/table";
import type { Column } from "../ui/table";
import { GroupLink, Mark } from "../ui/words";

const columns: Column<Connection>[] = [
  { title: "Connection", by: endsOf, cell: (c) => <code>{endsOf(c)}</code> },
  { title: "Direction", by: (c) => c.direction, cell: (c) => `${c.direction} ${c.protocol}` },
  { title: "State", by: (c) => c.state ?? "", wide: true, cell: (c) => <>{c.state}
    {!c.current && <Mark kind="plain" text="re-evaluated with the next packet" />}</> },
  { title: "Admitted by", by: (c) => c.rule, cell: (c) => <>
    {c.group && <GroupLink name={c.group} />} <code class="dim">{c.rule}</code></> },
];

const keyOf = (c: Connection) => [c.host, c.port, c.direction, c.protocol, c.src, c.src_port, c.dst,
  c.dst_port, c.icmp?.id].join(" ");

export function Live({ name }: { name: string }) {
  const { client } = useApp();
  const asked = useAsk((s) => client.connections({ instance: name, limit: 500 }, s), [client, name]);
  const list = asked.data?.connections ?? [];
  return (
    <section class="card stack" aria-label="Connections" aria-busy={asked.busy}>
      <div class="row apart">
        <h2>Connections {asked.data && <span class="dim">{counted(list.length, "connection")}
          {asked.data.more && " and more"}</span>}</h2>
        <button type="button" onClick={asked.again}>Refresh</button>
      </div>
      {asked.error ? <Failure error={asked.error} what="load the connections" again={asked.again} />
        : !asked.data ? <Waiting what="connections" />
        : list.length > 0 ? <Table name="Connections" rows={list} columns={columns} keyOf={keyOf} />
        : <p>No live connections.</p>}
      <MissingHosts list={asked.data?.missing} />
    </section>
  );
}
