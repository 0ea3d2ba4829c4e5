// The rules of a group as a table that sorts and filters, and is edited. pages/group.tsx shows it.

import { useMemo, useState } from "preact/hooks";

import type { Counters, Group, Rule } from "../api";
import { mayEdit, useApp } from "../app";
import { bareGroup } from "../model/draft";
import { counted, fits, short } from "../model/list";
import { bareRule, doubtOf, peerText, ruleKey, ruleText, serviceText } from "../model/rule";
import { Filter } from "../ui/field";
import { Empty, MissingHosts } from "../ui/notice";
import { Table } from "../ui/table";
import type { Column } from "../ui/table";
import { Age } from "../ui/time";
import { Mark, Peers, Service } from "../ui/words";
import type { Shown } from "./object";
import { RuleDialog } from "./rule";

interface Row {
  rule: Rule;
  state: "" | "new" | "removed";
  hits?: { packets: number; since: string; hosts: number };
}

/** The rules as they are and as they will be: what goes is shown until it is gone. */
function rowsOf(group: Shown<Group>, counters: Counters | undefined): Row[] {
  const before = group.now?.rules ?? [], after = group.as?.rules ?? [];
  const had = new Map(before.map((r) => [ruleKey(r), r]));
  const has = new Set(after.map(ruleKey));
  const byId = new Map(counters?.rules.filter((c) => c.id).map((c) => [c.id, c]));
  const byText = new Map(counters?.rules.map((c) => [c.rule, c]));
  const row = (rule: Rule, state: Row["state"]): Row => {
    const c = byId.get(rule.id) ?? byText.get(ruleText(rule));
    return { rule, state, hits: counters && state !== "new" ? { packets: c?.admitted.packets ?? 0,
      since: c?.since ?? "", hosts: c?.hosts ?? 0 } : undefined };
  };
  return [...after.map((r) => row(had.get(ruleKey(r)) ?? r, had.has(ruleKey(r)) ? "" : "new")),
    ...before.filter((r) => !has.has(ruleKey(r))).map((r) => row(r, "removed"))];
}

const Hits = ({ of }: { of: Row["hits"] }) => !of ? <span class="dim">…</span>
  : of.packets > 0 ? <span title={`${of.packets.toLocaleString("en")} packets`}>{short(of.packets)}</span>
  : of.since ? <span class="dim">none since <Age at={of.since} /></span> : <span class="dim">not known</span>;

function columnsOf(act: (r: Row) => preact.JSX.Element | null): Column<Row>[] {
  return [
    { title: "Direction", by: (r) => r.rule.direction, width: "9em", cell: (r) => <span class="row tight">
      {r.rule.direction}{r.state && <Mark kind={r.state === "new" ? "good" : "bad"}
        text={r.state === "new" ? "+ new" : "− goes"} />}</span> },
    { title: "Service", by: (r) => serviceText(r.rule), cell: (r) => <Service of={r.rule} /> },
    { title: "From or to", by: (r) => peerText(r.rule), cell: (r) => <>
      <Peers of={r.rule} />{doubtOf(r.rule) && <Mark kind="warn" text={doubtOf(r.rule)} />}</> },
    { title: "Description", by: (r) => r.rule.description ?? "", wide: true,
      cell: (r) => <span class="dim">{r.rule.description}</span> },
    { title: "Admitted", kind: "number", by: (r) => r.hits?.packets ?? -1, wide: true,
      cell: (r) => <span class="nowrap"><Hits of={r.hits} /></span>, width: "11em" },
    { title: "Edit", kind: "action", cell: act, width: "9.5em" },
  ];
}

export function Rules({ group, counters }: {
  group: Shown<Group>; counters: Counters | undefined;
}) {
  const { who } = useApp();
  const [filter, setFilter] = useState("");
  const [editing, setEditing] = useState<Rule | "new">();
  const rows = useMemo(() => rowsOf(group, counters), [group.now, group.as, counters]);
  const shown = rows.filter((r) => fits(`${ruleText(r.rule)} ${r.rule.description ?? ""}`, filter));
  const put = (list: (rules: Rule[]) => Rule[]) =>
    group.edit((g) => ({ ...bareGroup(g), rules: list((g.rules ?? []).map(bareRule)) }));
  const without = (r: Rule) => put((all) => all.filter((o) => ruleKey(o) !== ruleKey(r)));
  const act = (r: Row) => !mayEdit(who) ? null : r.state === "removed"
    ? <button type="button" class="bare" onClick={() => put((all) => [...all, bareRule(r.rule)])}>
        Keep</button>
    : <span class="row tight end">
        <button type="button" class="bare" aria-label={`Edit ${ruleText(r.rule)}`}
          onClick={() => setEditing(r.rule)}>Edit</button>
        <button type="button" class="bare lost" aria-label={`Remove ${ruleText(r.rule)}`}
          onClick={() => without(r.rule)}>Remove</button></span>;
  const keep = (next: Rule) => put((all) => editing === "new" || !editing ? [...all, next]
    : all.map((o) => ruleKey(o) === ruleKey(editing) ? next : o));
  return (
    <section class="card stack" aria-label="Rules">
      <div class="row apart">
        <h2>Rules <span class="dim">{counted(rows.length, "rule")}</span></h2>
        <div class="row">
          {rows.length > 5 && <Filter label="Rules that have" value={filter} set={setFilter}
            placeholder="Filter: tcp 22 management" />}
          {mayEdit(who) && <button type="button" class="main" onClick={() => setEditing("new")}>
            Add a rule</button>}
        </div>
      </div>
      {rows.length === 0 ? <None /> : shown.length === 0 ? <p>No rule has all of “{filter}”.</p>
        : <Table name="Rules" rows={shown} columns={columnsOf(act)} classOf={(r) => r.state}
            keyOf={(r) => (r.rule.id ?? "") + ruleKey(r.rule) + r.state} />}
      <MissingHosts list={counters?.missing} />
      {editing && <RuleDialog of={editing === "new" ? undefined : editing}
        close={() => setEditing(undefined)} keep={keep}
        others={(group.as?.rules ?? []).filter((r) => r !== editing)} own={group.as?.name ?? ""} />}
    </section>
  );
}

const None = () => (
  <Empty title="No rule yet">
    <p>Nothing reaches the members of this group by it, and their egress is open. Add a rule that
      admits what they serve, such as <code>tcp 443</code> from everywhere.</p>
  </Empty>
);
