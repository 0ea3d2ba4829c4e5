// An answer of explain: the verdict, and for each pair of addresses what the guards and both sides say,
// with the rule that decides, or those that come nearest and what each lacks. why/page.tsx shows it.

import type { ComponentChildren } from "preact";

import { at } from "../go";
import { Notice } from "../ui/notice";
import { endText, manyText, peersText } from "./types";
import type { Answer, Kind, Pairwise, Reach, Route, RuleAt, Side, Verdict } from "./types";

export function AnswerView({ answer }: { answer: Answer }) {
  return Array.isArray(answer) ? <Reaches list={answer} /> : <Pair of={answer} />;
}

const words: Record<Verdict, { text: string; kind: "good" | "bad" | "warn" }> = {
  admitted: { text: "Admitted", kind: "good" },
  denied: { text: "Denied", kind: "bad" },
  partly: { text: "Partly admitted", kind: "warn" },
};

/** Badge says a verdict by its word, its mark and its colour. */
export function Badge({ of }: { of: Verdict }) {
  const { text, kind } = words[of] ?? { text: String(of), kind: "warn" as const };
  return <span class={`mark ${kind}`}><span aria-hidden="true">
    {{ good: "✓", bad: "✕", warn: "!" }[kind]}</span> {text}</span>;
}

function Pair({ of }: { of: Pairwise }) {
  const { kind, text } = words[of.verdict];
  return (
    <div class="stack wide">
      <Notice kind={kind === "bad" ? "warn" : kind} title={`${of.from} → ${of.to}, ${of.service}: ${
        text.toLowerCase()}`} live>
        {of.reason && <p>{of.reason}</p>}
        {of.pairs && <p>Of {of.pairs.admitted + of.pairs.partly + of.pairs.denied} pairs of addresses:{" "}
          {of.pairs.admitted} admitted, {of.pairs.partly} partly, {of.pairs.denied} denied.</p>}
      </Notice>
      {(of.routes ?? []).map((r, n) => <RouteView key={n} route={r} />)}
      {(of.kinds ?? []).map((k, n) => <KindView key={n} kind={k} />)}
      {(of.exchanges ?? []).map((x, n) => <Exchange key={n} of={x} />)}
      {of.live && <Live live={of.live} />}
    </div>
  );
}

function RouteView({ route, title }: { route: Route; title?: ComponentChildren }) {
  return (
    <section class="card stack route">
      <div class="row apart">
        <div>{title ?? route.pairs.map((p, n) => (
          <p key={n}><code>{endText(p.from)} → {endText(p.to)}</code></p>
        ))}</div>
        <Badge of={route.verdict} />
      </div>
      {route.guard && <p class="lost">{route.guard}</p>}
      <Ways route={route} />
      <div class="sides">
        {route.egress && <SideView side={route.egress} title={`Egress of ${route.egress.instance}`} />}
        {route.ingress &&
          <SideView side={route.ingress} title={`Ingress of ${route.ingress.instance}`} />}
      </div>
    </section>
  );
}

/** Ways are told only where they differ: mostly they do not. */
function Ways({ route }: { route: Route }) {
  const ways = route.ways ?? [];
  if (ways.every((w) => w.verdict === ways[0]?.verdict)) return null;
  return (
    <div>
      <p>It depends on the path of the packet, which the policy does not determine:</p>
      <ul>{ways.map((w) => (
        <li key={w.way}>{w.way}: <Badge of={w.verdict} />{w.guard && ` ${w.guard}`}</li>
      ))}</ul>
    </div>
  );
}

function SideView({ side, title }: { side: Side; title: string }) {
  return (
    <div class="side stack">
      <div class="row"><h2>{title}</h2><Badge of={side.verdict} /></div>
      {side.rules?.length ? <Rules list={side.rules} title="By" /> : <p>{side.reason}</p>}
      {side.closed_by && <Rules list={[side.closed_by]} title="Closed by" />}
      {side.nearest?.length ? <Rules list={side.nearest} title="Closest rules, and what is missing" /> : null}
    </div>
  );
}

const mostRules = 12;

function Rules({ list, title }: { list: readonly RuleAt[]; title: string }) {
  return (
    <div>
      <p class="small dim">{title}</p>
      <ul class="plain why-rules">{list.slice(0, mostRules).map((r, n) => (
        <li key={n}>
          <a href={at.group(r.group)}>{r.group}</a>: <code>{r.rule}</code>
          {r.by && <span class="dim"> by {r.by}</span>}
          {r.missing && <p class="missing">{r.missing}</p>}
        </li>
      ))}</ul>
      {list.length > mostRules && <p class="small">and {list.length - mostRules} more</p>}
    </div>
  );
}

function KindView({ kind }: { kind: Kind }) {
  return <RouteView route={kind.example} title={<>
    <p><strong>{manyText(kind.from)}</strong> → <strong>{manyText(kind.to)}</strong> ({kind.family}),{" "}
      {kind.pairs} {kind.pairs === 1 ? "pair" : "pairs"}</p>
    <p class="small dim">such as {kind.example.pairs.map((p) =>
      `${endText(p.from)} → ${endText(p.to)}`).join("; ")}</p></>} />;
}

function Exchange({ of }: { of: NonNullable<Pairwise["exchanges"]>[number] }) {
  return (
    <section class="card stack">
      <div class="row apart"><h2>{endText(of.from)}</h2><Badge of={of.verdict} /></div>
      <ol class="steps">{of.steps.map((s, n) => (
        <li key={n}>
          <p><Badge of={s.verdict} /> {s.what}{s.host && ` on ${s.host}`}</p>
          <p class="small"><code>{s.frame}</code></p>
          <p class="small dim">{s.enters && `enters by ${s.enters}; `}
            {s.ports?.length || s.uplink
              ? `got by ${[...s.ports ?? [], ...s.uplink ? ["the uplinks"] : []].join(", ")}`
              : "nobody receives it"}</p>
          {s.reason && <p class="small">{s.reason}</p>}
          {s.missing && <p class="missing">{s.missing}</p>}
          {s.optional && <p class="small dim">not needed: {s.optional}</p>}
        </li>
      ))}</ol>
    </section>
  );
}

function Live({ live }: { live: NonNullable<Pairwise["live"]> }) {
  const checks = live.checks ?? [];
  const differ = checks.filter((c) => !c.agrees);
  return (
    <Notice kind={live.agrees ? "good" : "bad"} title={live.agrees
      ? `The switch does what the policy says (${checks.length} packets traced)`
      : "The switch does something else than the policy says"}>
      {differ.map((c, n) => (
        <p key={n}><code>{endText(c.from)} → {endText(c.to)}</code>: {c.last_flow}</p>
      ))}
      {(live.not_traced?.length ?? 0) > 0 && <p>{live.not_traced!.length} packets were not traced.</p>}
    </Notice>
  );
}

function Reaches({ list }: { list: readonly Reach[] }) {
  if (list.length === 0) return <p>No such endpoint.</p>;
  return <div class="stack wide">{list.map((r, n) => <ReachView key={n} of={r} />)}</div>;
}

function ReachView({ of }: { of: Reach }) {
  const whom = of.direction === "ingress" ? "may open connections to" : "may be reached from";
  const points = peersText(of.points);
  const nobody = of.instances.length + of.outside.length === 0;
  return (
    <section class="card stack">
      <h2>Who {whom} {points} <span class="dim">{of.points.map((p) => p.address).slice(0, 4)
        .join(", ")}</span></h2>
      {of.open && <p class="dim">{of.direction === "egress" ? "Egress is open." : "It is open."}</p>}
      {nobody && <p>Nobody, by this service.</p>}
      <ul class="plain reach">
        {of.instances.map((g, n) => (
          <Admitted key={n} who={peersText(g.peers)} services={g.services}
            rules={[...g.rules ?? [], ...g.theirs ?? []]} />
        ))}
        {of.outside.map((o, n) => (
          <Admitted key={`o${n}`} who={`outside, ${o.network}`} services={o.services}
            rules={o.rules ?? []} note={o.of?.length ? `it is in ${o.of.join(", ")}` : undefined} />
        ))}
      </ul>
    </section>
  );
}

function Admitted({ who, services, rules, note }: {
  who: string; services: string; rules: readonly RuleAt[]; note?: string | undefined;
}) {
  return (
    <li>
      <p><strong>{who}</strong> <code>{services}</code></p>
      {note && <p class="small dim">{note}</p>}
      <Rules list={rules} title="By" />
    </li>
  );
}
