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
  // what is removed stays in its place, so that nobody loses it, nor the keys that were on it
  return [...before.map((r) => row(r, has.has(ruleKey(r)) ? "" : "removed")),
    ...after.filter((r) => !had.has(ruleKey(r))).map((r) => row(r, "new"))];
}

const Hits = ({ of, failed }: { of: Row["hits"]; failed: boolean }) =>
  !of ? <span class="dim">{failed ? "not known" : "…"}</span>
  : of.packets > 0 ? <span title={`${of.packets.toLocaleString("en")} packets`}>{short(of.packets)}</span>
  : of.since ? <span class="dim">none in <Age at={of.since} asLength /></span> : <span class="dim">not known</span>;

function columnsOf(act: (r: Row) => preact.JSX.Element | null, failed: boolean): Column<Row>[] {
  return [
    { title: "Direction", by: (r) => r.rule.direction, width: "9em", cell: (r) => <span class="row tight">
      {r.rule.direction}{r.state && <Mark kind={r.state === "new" ? "good" : "bad"}
        text={r.state === "new" ? "+ new" : "− removed"} />}</span> },
    { title: "Service", by: (r) => serviceText(r.rule), cell: (r) => <Service of={r.rule} /> },
    { title: "From / to", by: (r) => peerText(r.rule), cell: (r) => <>
      <Peers of={r.rule} />{doubtOf(r.rule) && <Mark kind="warn" text={doubtOf(r.rule)} />}</> },
    { title: "Description", by: (r) => r.rule.description ?? "", wide: true,
      cell: (r) => <span class="dim">{r.rule.description}</span> },
    { title: "Hits", kind: "number", by: (r) => r.hits?.packets ?? -1, wide: true,
      cell: (r) => <span class="nowrap"><Hits of={r.hits} failed={failed} /></span>, width: "11em" },
    { title: "Edit", kind: "action", cell: act, width: "9.5em" },
  ];
}

export function Rules({ group, counters, failed }: {
  group: Shown<Group>; counters: Counters | undefined; failed: boolean;
}) {
  const { who } = useApp();
  const [filter, setFilter] = useState("");
  const [editing, setEditing] = useState<Rule | "new">();
  const rows = useMemo(() => rowsOf(group, counters), [group.now, group.as, counters]);
  const shown = rows.filter((r) => fits(`${ruleText(r.rule)} ${r.rule.description ?? ""}`, filter));
  const put = (list: (rules: Rule[]) => Rule[]) =>
    group.edit((g) => ({ ...bareGroup(g), rules: list((g.rules ?? []).map(bareRule)) }));
  const without = (r: Rule) => put((all) => all.filter((o) => ruleKey(o) !== ruleKey(r)));
  const act = (r: Row) => {
    if (!mayEdit(who)) return null;
    const isGone = r.state === "removed", what = ruleText(r.rule);
    return (
      <span class="row tight end">
        {!isGone && <button type="button" class="bare" aria-label={`Edit ${what}`}
          onClick={() => setEditing(r.rule)}>Edit</button>}
        <button type="button" class={isGone ? "bare" : "bare lost"}
          aria-label={`${isGone ? "Restore" : "Remove"} ${what}`} onClick={() => isGone
            ? put((all) => [...all, bareRule(r.rule)]) : without(r.rule)}>
          {isGone ? "Restore" : "Remove"}</button>
      </span>
    );
  };
  const keep = (next: Rule) => put((all) => editing === "new" || !editing ? [...all, next]
    : all.map((o) => ruleKey(o) === ruleKey(editing) ? next : o));
  return (
    <section class="card stack" aria-label="Rules">
      <div class="row apart">
        <h2>Rules <span class="dim">{counted(rows.length, "rule")}</span></h2>
        <div class="row">
          {rows.length > 5 && <Filter label="Filter rules" value={filter} set={setFilter}
            placeholder="Filter: tcp 22 management" />}
          {mayEdit(who) && <button type="button" class="main" onClick={() => setEditing("new")}>
            Add a rule</button>}
        </div>
      </div>
      {rows.length === 0 ? <None /> : shown.length === 0 ? <p>No rules match “{filter}”.</p>
        : <Table name="Rules" rows={shown} columns={columnsOf(act, failed)} classOf={(r) => r.state}
            keyOf={(r) => (r.rule.id ?? "") + ruleKey(r.rule)} />}
      <MissingHosts list={counters?.missing} />
      {editing && <RuleDialog of={editing === "new" ? undefined : editing}
        close={() => setEditing(undefined)} keep={keep}
        others={(group.as?.rules ?? []).filter((r) => r !== editing)} own={group.as?.name ?? ""} />}
    </section>
  );
}

const None = () => (
  <Empty title="No rules yet">
    <p>This group admits no ingress and restricts no egress. Add a rule for what its members
      serve, such as <code>tcp 443</code> from anywhere.</p>
  </Empty>
);
