// The hosts: the generation in force, how old it is, their ports, what is wrong. The route /hosts
// shows it.

import { useEffect, useState } from "preact/hooks";

import type { Host } from "../api";
import { seesAll, useApp, useAsk } from "../app";
import { counted, fits } from "../model/list";
import { Filter } from "../ui/field";
import { Empty, Failure, NotOfProjects, Notice, Waiting } from "../ui/notice";
import { Table } from "../ui/table";
import type { Column } from "../ui/table";
import { Age } from "../ui/time";
import { Mark } from "../ui/words";

const lookEvery = 5000;

const kindOf = { "in force": "good", late: "warn", silent: "bad", "never seen": "bad" } as const;

const rank: Record<string, number> = { "never seen": 0, silent: 1, late: 2, "in force": 3 };

const problems = (h: Host) => Object.entries(h.problems ?? {});

const columns: Column<Host>[] = [
  { title: "Host", by: (h) => h.name, cell: (h) => <strong>{h.name}</strong> },
  { title: "State", by: (h) => rank[h.standing] ?? 4, cell: (h) => <span class="row tight">
    <Mark kind={kindOf[h.standing as keyof typeof kindOf] ?? "plain"} text={h.standing} />
    {h.why && <span class="dim small">{h.why}</span>}</span> },
  { title: "Generation", kind: "number", by: (h) => h.generation, width: "8em",
    cell: (h) => h.generation || <span class="dim">none</span> },
  { title: "Since", by: (h) => h.generation_at ?? "", width: "8em", wide: true,
    cell: (h) => <Age at={h.generation_at} /> },
  { title: "Last seen", by: (h) => h.seen_at ?? "", width: "8em", cell: (h) => <Age at={h.seen_at} /> },
  { title: "Ports", kind: "number", by: (h) => h.ports_placed, width: "9em", cell: (h) => <>
    {h.ports_bound} of {h.ports_placed}
    {h.ports_in_error > 0 && <><br /><Mark kind="bad" text={`${h.ports_in_error} in error`} /></>}</> },
  { title: "Problems", wide: true, by: (h) => -problems(h).length,
    cell: (h) => problems(h).length === 0 ? <span class="dim">none</span> : (
      <details><summary>{counted(problems(h).length, "problem")}</summary>
        <ul class="plain small">{problems(h).map(([what, why]) => (
          <li key={what}><strong>{what}</strong>: {why}</li>))}</ul></details>) },
  { title: "Version", wide: true, by: (h) => h.version ?? "", width: "8em",
    cell: (h) => <span class="dim">{h.version}</span> },
];

export default function HostsPage() {
  const { who } = useApp();
  return seesAll(who) ? <Hosts /> : <NotOfProjects what="Hosts" who={who} />;
}

function Hosts() {
  const { client, generation } = useApp();
  const [filter, setFilter] = useState("");
  const [tick, setTick] = useState(0);
  const asked = useAsk((s) => client.hosts(s), [client, generation, tick]);
  useEffect(() => {
    const timer = setInterval(() => { if (!document.hidden) setTick((n) => n + 1); }, lookEvery);
    return () => clearInterval(timer);
  }, []);
  const all = asked.data?.hosts ?? [];
  const shown = all.filter((h) => fits(`${h.name} ${h.standing} ${h.why ?? ""}`, filter));
  const inForce = all.filter((h) => h.standing === "in force").length;
  return (
    <div class="stack">
      <div class="row apart">
        <h1>Hosts</h1>
        {all.length > 8 && <Filter label="Filter hosts" value={filter} set={setFilter}
          placeholder="Filter: silent" />}
      </div>
      {asked.error && <Failure error={asked.error} what="load the hosts" again={asked.again} />}
      {!asked.data ? !asked.error && <Waiting what="hosts" /> : all.length === 0 ? (
        <Empty title="No hosts yet">
          <p>A host appears as soon as its daemon follows this policy database
            (<code>policy: ovsdb:…</code> in its settings), or when an instance is placed on it.</p>
        </Empty>
      ) : <>
        <Notice kind={inForce === all.length ? "good" : "warn"}
          title={`Generation ${asked.data.generation} is in force on ${inForce} of ${counted(all.length, "host")}`} />
        {(asked.data.unreachable ?? []).map((u) => (
          <Notice key={u.endpoint} kind="warn" title={`${u.endpoint} did not answer`}><p>{u.why}</p></Notice>
        ))}
        <Table name="Hosts" rows={shown} columns={columns} keyOf={(h) => h.name}
          sort={{ column: 1, down: false }} />
      </>}
    </div>
  );
}
