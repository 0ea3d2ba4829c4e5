// What a draft would do: who gains, who loses, and which connections are cut, by name. draft/page.tsx
// and the roll back show it.

import type { AccessChange, Cut, Plan } from "../api";
import { counted } from "../model/list";
import { MissingHosts } from "../ui/notice";
import { Table } from "../ui/table";
import type { Column } from "../ui/table";
import { InstanceLink } from "../ui/words";

const end = (address: string, port: number | undefined, name?: string) =>
  `${name ? name + " " : ""}${port ? address.includes(":") ? `[${address}]:${port}`
    : `${address}:${port}` : address}`;

/** One end and the other of a connection, with the instances that have them. */
export const endsOf = (c: Pick<Cut, "src" | "src_port" | "dst" | "dst_port" | "from" | "to">) =>
  `${end(c.src, c.src_port, c.from)} → ${end(c.dst, c.dst_port, c.to)}`;

function who(c: AccessChange): string {
  const list = c.instances ?? [];
  if (c.group && list.length !== 1) return `group ${c.group}${list.length ? ` (${list.length})` : ""}`;
  return list.slice(0, 4).join(", ") + (list.length > 4 ? ` and ${list.length - 4} more` : "");
}

const whom = (c: AccessChange) => c.peer ? `group ${c.peer}` : (c.networks ?? []).slice(0, 4)
  .join(", ") + ((c.networks?.length ?? 0) > 4 ? " …" : "") +
  (c.except?.length ? ` except ${c.except.slice(0, 4).join(", ")}` : "");

function Changes({ list, sign }: { list: readonly AccessChange[]; sign: "+" | "−" }) {
  const may = sign === "+" ? "may now" : "can no longer";
  return (
    <ul class={`plain access ${sign === "+" ? "gained" : "lost"}`}>{list.slice(0, 50).map((c, n) => (
      <li key={n}>
        <span class="sign" aria-hidden="true">{sign}</span>
        <span><strong>{who(c)}</strong> {may} {c.direction === "egress" ? "reach"
          : "be reached from"} <strong>{whom(c)}</strong> by <code>{c.services}</code>
        {c.closed_by && <span class="dim"> (egress is closed by a rule of {c.closed_by.group})</span>}
        {c.opened && <span class="dim"> (no egress rule is left)</span>}
        {c.rules?.[0] && <span class="dim"> (rule of {c.rules[0].group})</span>}</span>
      </li>
    ))}{list.length > 50 && <li>and {list.length - 50} more</li>}</ul>
  );
}

const cutColumns: Column<Cut>[] = [
  { title: "Connection", by: endsOf, cell: (c) => <code>{endsOf(c)}</code> },
  { title: "Protocol", by: (c) => c.protocol, cell: (c) => c.protocol },
  { title: "Instance", by: (c) => c.instance, cell: (c) => <InstanceLink name={c.instance} /> },
  { title: "Host", by: (c) => c.host ?? "", cell: (c) => c.host ?? "", wide: true },
  { title: "Admitted by", by: (c) => c.rule ?? "", wide: true,
    cell: (c) => <>{c.group} <code class="dim">{c.rule}</code></> },
];

const cutKey = (c: Cut) => [c.host, c.port, c.protocol, c.src, c.src_port, c.dst, c.dst_port,
  c.direction].join(" ");

export function PlanView({ plan }: { plan: Plan }) {
  const { loses, gains, ports, cut } = plan;
  const isNothing = loses.length + gains.length + ports.length === 0;
  return (
    <div class="stack">
      {isNothing && <p>No one gains or loses access{plan.changed ? "" : ": the policy does not change"}.</p>}
      {loses.length > 0 && <section class="stack">
        <h3 class="lost">Access lost ({plan.lost || loses.length})</h3>
        <Changes list={loses} sign="−" />
      </section>}
      {gains.length > 0 && <section class="stack">
        <h3 class="gained">Access gained ({plan.gained || gains.length})</h3>
        <Changes list={gains} sign="+" />
      </section>}
      {ports.length > 0 && <ul>{ports.map((p, n) => (
        <li key={n}>{counted(p.ports.length, "port")} {p.what}:{" "}
          {p.ports.slice(0, 6).map((r) => `${r.port} of ${r.instance}`).join(", ")}
          {p.ports.length > 6 && " …"}</li>
      ))}</ul>}
      <MissingHosts list={plan.missing} />
      {cut.length > 0 ? <section class="stack">
        <h3 class="lost">{counted(cut.length, "live connection")} will be cut</h3>
        <Table name="Connections that will be cut" rows={cut} columns={cutColumns} keyOf={cutKey} />
      </section> : !plan.missing?.length && <p class="dim">No live connections will be cut.</p>}
    </div>
  );
}
