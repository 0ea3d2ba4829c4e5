// The rules that hold for an instance: the union of those of its groups, each with its group.
// pages/instance.tsx shows it.

import { useMemo, useState } from "preact/hooks";

import { hasStatus } from "../api";
import type { Group, Rule } from "../api";
import { useApp, useAsk } from "../app";
import { useDraft } from "../draft/store";
import { groupIn } from "../model/draft";
import { counted, fits } from "../model/list";
import { peerText, ruleKey, ruleText, serviceText } from "../model/rule";
import { Filter } from "../ui/field";
import { Failure, Waiting } from "../ui/notice";
import { Table } from "../ui/table";
import type { Column } from "../ui/table";
import { GroupLink, Peers, Service } from "../ui/words";

interface Row {
  group: string;
  rule: Rule;
}

const columns: Column<Row>[] = [
  { title: "Direction", by: (r) => r.rule.direction, cell: (r) => r.rule.direction, width: "7em" },
  { title: "Service", by: (r) => serviceText(r.rule), cell: (r) => <Service of={r.rule} /> },
  { title: "From / to", by: (r) => peerText(r.rule), cell: (r) => <Peers of={r.rule} /> },
  { title: "Group", by: (r) => r.group, cell: (r) => <GroupLink name={r.group} /> },
  { title: "Description", wide: true, by: (r) => r.rule.description ?? "",
    cell: (r) => <span class="dim">{r.rule.description}</span> },
];

/** What the defaults are where no rule speaks. */
const defaults = (rows: Row[]) => {
  const hasEgress = rows.some((r) => r.rule.direction === "egress");
  const hasIngress = rows.some((r) => r.rule.direction === "ingress");
  return `${hasIngress ? "All other ingress is denied." : "No ingress rule: all ingress is denied."} ` +
    (hasEgress ? "All other egress is denied." : "No egress rule: all egress is open.");
};

export function Effective({ groups }: { groups: readonly string[] }) {
  const { client, generation, project } = useApp();
  const [draft] = useDraft(project);
  const [filter, setFilter] = useState("");
  const isNew = (n: string) => draft.groups[n] !== undefined && !draft.groups[n]?.before;
  const there = groups.filter((n) => !isNew(n));
  const asked = useAsk((s) => Promise.all(there.map((n) => client.group(n, s).catch((e) => {
    if (hasStatus(e, 404)) return { name: n } as Group; // of the draft, or of another project
    throw e;
  }))), [client, generation, there.join("\n")]);
  const rows = useMemo(() => groups.flatMap((n): Row[] =>
    (groupIn(draft, n, asked.data?.find((g) => g.name === n) ?? null)?.rules ?? [])
      .map((rule) => ({ group: n, rule }))), [groups.join("\n"), draft, asked.data]);
  const shown = rows.filter((r) => fits(`${ruleText(r.rule)} ${r.group}`, filter));
  if (asked.error && !asked.data) return <Failure error={asked.error} what="load the rules" again={asked.again} />;
  return (
    <section class="card stack" aria-label="Effective rules">
      <div class="row apart">
        <h2>Effective rules <span class="dim">{counted(rows.length, "rule")} of {counted(groups.length, "group")}</span></h2>
        {rows.length > 5 && <Filter label="Filter rules" value={filter} set={setFilter}
          placeholder="Filter: tcp 22" />}
      </div>
      {asked.busy && !asked.data ? <Waiting what="rules" /> : <>
        {shown.length > 0 && <Table name="Effective rules" rows={shown} columns={columns}
          keyOf={(r) => r.group + "\n" + ruleKey(r.rule)} sort={{ column: 0, down: true }} />}
        <p class="dim">{defaults(rows)}</p>
      </>}
    </section>
  );
}
