// What is chosen in a picture, in words: of a group, whom it reaches and who reaches it; of an arrow
// its rules, with their hits and live connections. The page of the picture calls it.

import { useEffect, useState } from "preact/hooks";

import type { Connection, Counters } from "../api";
import { useApp, useAsk } from "../app";
import { at } from "../go";
import { address, nothing } from "../why/question";
import { MissingHosts, Failure } from "../ui/notice";
import { Age } from "../ui/time";
import type { Choice } from "./canvas";
import { about, arrowName } from "./drawing";
import type { Arrow, Box, Graph, Said } from "./graph";
import { reached } from "./neighbourhood";
import { count } from "./text";

export interface DetailsProps {
  graph: Graph;
  /** whole is the policy of which the picture may show a part. */
  whole: Graph;
  chosen: Choice | undefined;
  choose: (c: Choice | undefined) => void;
  /** around shows what a group has to do with; unfold shows the groups of a fold. */
  around: (name: string) => void;
  unfold: (key: string) => void;
}

export function Details(p: DetailsProps) {
  const { chosen } = p;
  const all = [p.graph, p.whole];
  const box = chosen?.kind === "box"
    ? all.flatMap((g) => g.boxes).find((b) => b.id === chosen.id) : undefined;
  const of = chosen?.kind === "arrow"
    ? all.find((g) => g.arrows.some((a) => a.id === chosen.id)) : undefined;
  const arrow = of?.arrows.find((a) => a.id === chosen!.id);
  return (
    <aside class="details card" aria-label="Selection" aria-live="polite">
      {box !== undefined ? <OfBox box={box} p={p} />
        : arrow !== undefined ? <OfArrow key={arrow.id} arrow={arrow} graph={of!} p={p} />
          : chosen?.kind === "arrow" ? <OfPair id={chosen.id} p={p} /> : <Hint />}
    </aside>
  );
}

/** OfPair is about two ends of which no rule names both. */
function OfPair({ id, p }: { id: string; p: DetailsProps }) {
  const [from, to] = id.split("\n").map((end) => end.slice(2)) as [string, string];
  return (
    <div class="stack">
      <div class="row apart">
        <h2>{from} → {to}</h2>
        <button type="button" class="bare" onClick={() => p.choose(undefined)}>Clear</button>
      </div>
      <p>No rule names both. What passes is admitted by rules for outside, or for a network or a
        group that contains one of them.</p>
      <div class="row"><a class="button" href={address({ ...nothing, from, to })}>Why?</a></div>
    </div>
  );
}

const Hint = () => (
  <div class="stack">
    <h2>Rules</h2>
    <p class="dim">Select a group to see whom it reaches and who reaches it, or an arrow to see its
      rules, their hits and live connections.</p>
    <p class="dim small">Keys: <kbd>Tab</kbd> and the arrow keys move, <kbd>Enter</kbd> selects, <kbd>Esc</kbd>
      {" "}clears, <kbd>+</kbd> <kbd>−</kbd> <kbd>0</kbd> zoom in, zoom out and show everything.</p>
  </div>
);

function OfBox({ box, p }: { box: Box; p: DetailsProps }) {
  const { to, from } = reached(p.graph, box.id);
  return (
    <div class="stack">
      <div class="row apart">
        <h2>{box.name}</h2>
        <button type="button" class="bare" onClick={() => p.choose(undefined)}>Clear</button>
      </div>
      <p class="dim">{about(box)}{box.kind === "group" && `, ${count(box.rules, "rule")}`}
        {box.state !== "stays" && `; ${box.state} by the draft`}</p>
      <Others title="Reached by" ids={from} box={box} p={p} isFrom />
      <Others title="Reaches" ids={to} box={box} p={p} />
      {box.kind === "group" && box.egress === "open" && <p class="small dim">No egress rule: its
        instances may connect to anyone who admits them, and to outside.</p>}
      <div class="row">
        {box.kind === "group" && <a class="button" href={at.group(box.name)}>Open group</a>}
        {box.kind !== "fold" && <button type="button" onClick={() => p.around(box.id)}>
          Focus on it</button>}
        {box.kind === "fold" && <button type="button" onClick={() => p.unfold(box.name)}>
          Show its {count(box.holds?.length ?? 0, "group")}</button>}
        {box.kind === "group" && <a class="button"
          href={address({ ...nothing, to: box.name })}>Who reaches it?</a>}
      </div>
    </div>
  );
}

function Others({ title, ids, box, p, isFrom = false }: {
  title: string; ids: ReadonlySet<string>; box: Box; p: DetailsProps; isFrom?: boolean;
}) {
  const arrows = p.graph.arrows.filter((a) => isFrom ? a.to === box.id && ids.has(a.from)
    : a.from === box.id && ids.has(a.to));
  const names = new Map(p.graph.boxes.map((b) => [b.id, b.name]));
  return (
    <section>
      <h3>{title}</h3>
      {arrows.length === 0 ? <p class="dim">none</p> : (
        <ul class="plain others">{arrows.map((a) => (
          <li key={a.id}>
            <button type="button" class="bare" onClick={() => p.choose({ kind: "arrow", id: a.id })}>
              {a.from === a.to ? "its own members" : names.get(isFrom ? a.from : a.to)}</button>
            {" "}<code class="dim">{a.services.join(", ")}</code>
          </li>
        ))}</ul>
      )}
    </section>
  );
}

function OfArrow({ arrow, graph, p }: { arrow: Arrow; graph: Graph; p: DetailsProps }) {
  const { client, generation } = useApp();
  const hits = useAsk((s) => client.counters({}, s), [client, generation]);
  const names = new Map(graph.boxes.map((b) => [b.id, b.name]));
  const from = names.get(arrow.from) ?? "", to = names.get(arrow.to) ?? "";
  const boxes = new Map(graph.boxes.map((b) => [b.id, b]));
  return (
    <div class="stack">
      <div class="row apart">
        <h2><span class="only-read">{arrowName(arrow, boxes)}</span>
          <span aria-hidden="true">{from === to ? `Within ${from}` : `${from} → ${to}`}</span></h2>
        <button type="button" class="bare" onClick={() => p.choose(undefined)}>Clear</button>
      </div>
      {arrow.lacks !== undefined && <p class="lost">No traffic passes: {arrow.lacks}.</p>}
      <ul class="plain said">{arrow.said.slice(0, 60).map((s, n) => (
        <Rule key={n} said={s} counters={hits.data} />
      ))}</ul>
      {arrow.said.length > 60 && <p>and {count(arrow.said.length - 60, "rule")} more</p>}
      {hits.error && <Failure error={hits.error} what="load the hits" again={hits.again} />}
      <MissingHosts list={hits.data?.missing} />
      <div class="row">
        {[arrow.from, arrow.to].every((id) => boxes.get(id)?.kind !== "fold") &&
          <a class="button" href={address({ ...nothing, from, to, service: asked(arrow) })}>Why?</a>}
      </div>
      <Connections arrow={arrow} />
    </div>
  );
}

/** asked is a service for a question: the only one, or any. */
const asked = (a: Arrow): string =>
  a.services.length === 1 ? a.services[0]!.replace(/ \(.*|^any but .*/, "") : "";

function Rule({ said, counters }: { said: Said; counters: Counters | undefined }) {
  return (
    <li class={said.state === "stays" ? "" : said.state}>
      <p>
        {said.state !== "stays" && <strong class={`state ${said.state}`}>
          {said.state === "gained" ? "+ gained" : "− lost"} </strong>}
        <code>{said.state === "stays" ? said.text || said.words.join(", ") : said.words.join(", ")}</code>
      </p>
      <p class="small dim">{said.direction} of{" "}
        <a href={at.group(said.group)}>{said.group}</a>
        {said.description && `: ${said.description}`}
        {said.state !== "stays" && said.text !== "" && `: ${said.text}`}
        {said.reason && `; ${said.reason}`}</p>
      {said.state === "stays" && <Hits said={said} counters={counters} />}
    </li>
  );
}

/** Hits of a rule. One that no host has counted says so: it is not said to be unused. */
function Hits({ said, counters }: { said: Said; counters: Counters | undefined }) {
  if (counters === undefined) return null;
  const one = counters.rules.find((r) => r.group === said.group && r.rule === said.text);
  if (one === undefined) return <p class="small dim">No hits counted yet.</p>;
  const { packets } = one.admitted;
  return (
    <p class="small">{packets === 0 ? "No packet" : `${count(packets, "packet")}`} on{" "}
      {count(one.hosts, "host")}, counted since <Age at={one.since} /></p>
  );
}

const mostShown = 20;

/** Connections that are open now by an arrow's rules: asked of the hosts when somebody wants them. */
function Connections({ arrow }: { arrow: Arrow }) {
  const [isAsked, ask] = useState(false);
  useEffect(() => ask(false), [arrow.id]);
  const rules = arrow.said.filter((s) => s.text !== "" && s.state === "stays");
  if (rules.length === 0) return null;
  return isAsked ? <Live said={rules} />
    : <button type="button" onClick={() => ask(true)}>Live connections</button>;
}

function Live({ said }: { said: readonly Said[] }) {
  const { client } = useApp();
  const owners = [...new Set(said.map((s) => s.group))];
  const live = useAsk(async (signal) => {
    const all = await Promise.all(owners.slice(0, 4).map((group) =>
      client.connections({ group, limit: 1000 }, signal)));
    return { list: all.flatMap((a) => a.connections), more: all.some((a) => a.more),
      missing: all.flatMap((a) => a.missing ?? []) };
  }, [client, owners.join("\n")]);
  if (live.error) return <Failure error={live.error} what="load the live connections" again={live.again} />;
  if (live.data === undefined) return <p class="dim" role="status">Asking the hosts …</p>;
  const mine = live.data.list.filter((c) =>
    said.some((s) => s.group === c.group && s.text === c.rule));
  return (
    <section class="stack">
      <h3>{count(mine.length, "live connection")}{live.data.more ? " at least" : ""}</h3>
      <ul class="plain small">{mine.slice(0, mostShown).map((c, n) => (
        <li key={n}><code>{endOf(c.src, c.src_port)} → {endOf(c.dst, c.dst_port)}</code>{" "}
          <span class="dim">{c.protocol}, {c.instance}{c.host && ` on ${c.host}`}</span></li>
      ))}</ul>
      {mine.length > mostShown && <p class="small">and {mine.length - mostShown} more</p>}
      <MissingHosts list={live.data.missing} />
    </section>
  );
}

const endOf = (addr: Connection["src"], port: number | undefined): string =>
  port === undefined ? addr : addr.includes(":") ? `[${addr}]:${port}` : `${addr}:${port}`;
