// What turns one policy into another, as arrows that are gained, lost or changed. Pure; the picture
// of a draft and the diff of the history call it.
//
// Rules are compared by what they say, not one by one: a rule that is split into two says the same.
// A group's first egress rule closes what was open, and its last one opens it: that is told as
// access to outside, with the reason.

import type { Group, Rule } from "../api/types";
import { arrowID, familyWords, graphOf, groupID, networkID, outside, peersOf, ruleText }
  from "../picture/graph";
import type { Arrow, Box, Graph, Said, State } from "../picture/graph";
import { everything, isNone, minus, none, ofRule, union } from "./services";
import type { Services } from "./services";

/** What the rules of a group say of a peer in one direction, by family. */
interface Side {
  group: string;
  direction: "ingress" | "egress";
  peer: string; // a box
  name: string;
  v4: Services;
  v6: Services;
  rules: Rule[];
}

type Sides = Map<string, Side>;

function sidesOf(groups: readonly Group[]): Sides {
  const out: Sides = new Map();
  for (const g of groups) {
    for (const rule of g.rules ?? []) {
      for (const peer of peersOf(rule)) {
        const key = `${g.name}\n${rule.direction}\n${peer.id}`;
        const side = out.get(key) ?? { group: g.name, direction: rule.direction, peer: peer.id,
          name: peer.name, v4: none, v6: none, rules: [] };
        out.set(key, side);
        const services = ofRule(rule);
        if (peer.families & 1) side.v4 = union(side.v4, services);
        if (peer.families & 2) side.v6 = union(side.v6, services);
        side.rules.push(rule);
      }
    }
  }
  return out;
}

/** A line of a diff: access that is gained or lost along an arrow. */
export interface Line extends Said {
  from: string; // names
  to: string;
  arrow: string; // the id of an Arrow
}

/** Diff is both policies in one graph, and what is different, in lines. */
export interface Diff {
  graph: Graph;
  lines: Line[];
}

/** diff compares two policies. */
export function diff(before: readonly Group[], after: readonly Group[]): Diff {
  const [old, next] = [sidesOf(before), sidesOf(after)];
  const lines: Line[] = [];
  for (const key of new Set([...old.keys(), ...next.keys()])) {
    lines.push(...changeOf(old.get(key), next.get(key)));
  }
  const opened = openings(before, after);
  const all = [...lines.filter((l) => !isMoot(l, opened)), ...opened];
  return { graph: merged(graphOf(before), graphOf(after), all), lines: all };
}

/** isMoot: an egress rule gives nothing where all was open, and takes nothing where all is now. */
const isMoot = (l: Line, opened: readonly Line[]): boolean => l.direction === "egress" &&
  opened.some((o) => o.group === l.group && o.state !== l.state);

/** changeOf tells what one side gains and loses. */
function changeOf(old: Side | undefined, next: Side | undefined): Line[] {
  const is = next ?? old!;
  const both = is.name === outside;
  const v4 = { old: old?.v4 ?? none, next: next?.v4 ?? none };
  const v6 = { old: old?.v6 ?? none, next: next?.v6 ?? none };
  const out: Line[] = [];
  const told = (state: "gained" | "lost", of4: Services, of6: Services): void => {
    if (isNone(of4) && isNone(of6)) return;
    const rules = (state === "gained" ? next : old)!.rules;
    out.push(lineOf(is, state, familyWords(of4, of6, both), rules.map(ruleText).join("; ")));
  };
  told("gained", minus(v4.next, v4.old), minus(v6.next, v6.old));
  told("lost", minus(v4.old, v4.next), minus(v6.old, v6.next));
  return out;
}

function lineOf(is: { group: string; direction: "ingress" | "egress"; peer: string; name: string },
  state: State, words: string[], text: string): Line {
  const own = groupID(is.group);
  const egress = is.direction === "egress";
  const [from, to] = egress ? [own, is.peer] : [is.peer, own];
  return { group: is.group, direction: is.direction, words, text, state,
    from: egress ? is.group : is.name, to: egress ? is.name : is.group, arrow: arrowID(from, to) };
}

const egressOf = (g: Group | undefined): Rule[] =>
  (g?.rules ?? []).filter((r) => r.direction === "egress");

/** openings are groups whose egress is closed, or opened, because they have egress rules or not. */
function openings(before: readonly Group[], after: readonly Group[]): Line[] {
  const old = new Map(before.map((g) => [g.name, g]));
  const out: Line[] = [];
  for (const g of after) {
    const was = old.get(g.name);
    const had = egressOf(was), has = egressOf(g);
    if (was === undefined || (had.length > 0) === (has.length > 0)) continue;
    const closes = has.length > 0;
    const side = { group: g.name, direction: "egress" as const, peer: networkID(outside),
      name: outside };
    const rules = closes ? has : had;
    const line = lineOf(side, closes ? "lost" : "gained", beyond(rules), "");
    line.reason = closes ? `egress was open, and is closed by ${ruleText(rules[0]!)}`
      : "egress is open: the group has no egress rule any more";
    out.push(line);
  }
  return out;
}

/** beyond is what is not admitted to outside by some egress rules. */
function beyond(rules: readonly Rule[]): string[] {
  let v4 = none, v6 = none;
  for (const rule of rules) {
    for (const peer of peersOf(rule).filter((p) => p.name === outside)) {
      if (peer.families & 1) v4 = union(v4, ofRule(rule));
      if (peer.families & 2) v6 = union(v6, ofRule(rule));
    }
  }
  return familyWords(minus(everything, v4), minus(everything, v6), true);
}

/** merged has the boxes and arrows of both graphs, with what becomes of each. */
function merged(old: Graph, next: Graph, lines: readonly Line[]): Graph {
  const byArrow = new Map<string, Line[]>();
  for (const l of lines) byArrow.set(l.arrow, [...byArrow.get(l.arrow) ?? [], l]);
  const kept = new Map(next.arrows.map((a) => [a.id, a]));
  const before = new Map(old.arrows.map((a) => [a.id, a]));
  const ids = new Set([...kept.keys(), ...before.keys(), ...byArrow.keys()]);
  const arrows = [...ids].map((id) =>
    arrowOf(id, before.get(id), kept.get(id), byArrow.get(id) ?? []));
  const boxes = boxesOf(old, next);
  const there = new Set(boxes.map((b) => b.id));
  for (const id of new Set(arrows.flatMap((a) => [a.from, a.to]))) {
    if (!there.has(id)) {
      boxes.push({ id, name: id.slice(2), kind: id.startsWith("g:") ? "group" : "network",
        rules: 0, state: "stays" });
    }
  }
  return { boxes, arrows };
}

function boxesOf(old: Graph, next: Graph): Box[] {
  const was = new Map(old.boxes.map((b) => [b.id, b]));
  const is = new Set(next.boxes.map((b) => b.id));
  const isNew = (b: Box): boolean => b.kind === "group" && was.get(b.id) === undefined;
  return [...next.boxes.map((b) => isNew(b) ? { ...b, state: "gained" as const } : b),
    ...old.boxes.filter((b) => !is.has(b.id))
      .map((b) => b.kind === "group" ? { ...b, state: "lost" as const } : b)];
}

/** arrowOf is an arrow of both policies: its rules now, and before them what it gains and loses. */
function arrowOf(id: string, old: Arrow | undefined, next: Arrow | undefined,
  lines: readonly Line[]): Arrow {
  const [from, to] = id.split("\n") as [string, string];
  const said: Said[] = lines.map((l) => ({ ...l }));
  const all = [...said, ...next?.said ?? []];
  const has = (state: State): boolean => lines.some((l) => l.state === state);
  const state: State = lines.length === 0 ? "stays"
    : has("gained") && has("lost") ? "changed"
      : has("gained") ? (old === undefined ? "gained" : "changed")
        : next === undefined ? "lost" : "changed";
  const services = next?.services ?? old?.services ?? lines.flatMap((l) => l.words);
  return { id, from, to, said: all, services, state };
}

/** changes is the part of a diff's graph that changes. */
export function changes(d: Diff): Graph {
  const arrows = d.graph.arrows.filter((a) => a.state !== "stays");
  const ends = new Set(arrows.flatMap((a) => [a.from, a.to]));
  return { boxes: d.graph.boxes.filter((b) => b.state !== "stays" || ends.has(b.id)), arrows };
}
