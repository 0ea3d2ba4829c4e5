// A graph that has its places, as what is drawn: texts, lines, classes and names. The page and the
// exported SVG show the same drawing. Pure.

import type { Arrow, Box, Graph, State } from "./graph";
import { outside } from "./graph";
import type { Layout, Placed, Plan, Point, Way } from "./layout";
import { codeLetter, columns, count, nameLetter, short, shortList } from "./text";

const padding = 10;
const leastWidth = 116;
const lineHeight = 16; // of what a box is, below its name
const rowHeight = 22;
const nameColumns = 30;
/** How much is written at an arrow; what changes is told further. */
const labelColumns = 16;
const changeColumns = 22;
/** Up to so many arrows have their services beside them; more are read by pointing at them. */
const mostLabels = 60;

/** From so many arrows on that leave a box, or meet it, these are drawn faint and behind all else. */
const fewArrows = 8;

/** A box as it is drawn. */
export interface DrawnBox extends Placed {
  box: Box;
  key: string; // no other has it: a network may stand twice
  label: string;
  /** about is what it is, in lines that are short enough. */
  about: string[];
  /** hub tells the arrows that are drawn faint: "to 26 groups: tcp/22"; "" = there are none. */
  hub: string;
  name: string; // for who does not see it
  className: string;
}

/** An arrow as it is drawn. One from a box to itself is a row in the box. */
export interface DrawnArrow {
  arrow: Arrow;
  id: string;
  line: string;
  head: string;
  label?: Point & { text: string; width: number };
  name: string;
  className: string;
}

export interface Drawing {
  width: number;
  height: number;
  boxes: DrawnBox[];
  arrows: DrawnArrow[];
}

/** about says in a line what a box is, as the pictures of the command line do. */
export function about(b: Box): string {
  if (b.kind === "fold") return `${count(b.holds?.length ?? 0, "group")}, ${members(b)}`;
  if (b.kind === "network") return b.name === outside ? "every address" : "network";
  if (b.members === undefined && b.rules === 0) return "of others";
  return `${members(b)}, egress ${b.egress ?? "open"}`;
}

/** aboutLines keep a box narrow, so that a picture of few is whole on a small screen. */
const aboutLines = (b: Box): string[] => about(b).split(", ");

/** headHeight is that of the name of a box and of what it is. */
const headHeight = (b: Box): number => 30 + lineHeight * aboutLines(b).length;

const members = (b: Box): string =>
  !b.members ? "no instance" : count(b.members, "instance");

/** What is written for a state, beside its colour and its line. */
export const sign: Record<State, string> = { stays: "", gained: "+ ", lost: "− ", changed: "± " };

const labelOf = (b: Box): string =>
  sign[b.state] + short(b.kind === "fold" ? b.name + "…" : b.name, nameColumns);

const selfOf = (g: Graph, b: Box): Arrow | undefined =>
  g.arrows.find((a) => a.from === b.id && a.to === b.id);

/** arrowLabel is what is written at an arrow: its services, or what becomes of them. */
export function arrowLabel(a: Arrow): string {
  const changed = a.said.filter((s) => s.state !== "stays");
  if (changed.length === 0) return shortList(a.services, labelColumns);
  const told = changed.flatMap((s) => s.words.map((w) => sign[s.state].trim() + w));
  return shortList([...new Set(told)], changeColumns);
}

/**
 * hubArrows are those of boxes that many have to do with, such as management: they would push all
 * else apart. What changes is never among them.
 */
export function hubArrows(g: Graph): Set<string> {
  const out = new Map<string, number>(), into = new Map<string, number>();
  for (const a of g.arrows) {
    if (a.from === a.to) continue;
    out.set(a.from, (out.get(a.from) ?? 0) + 1);
    into.set(a.to, (into.get(a.to) ?? 0) + 1);
  }
  return new Set(g.arrows.filter((a) => a.from !== a.to && a.state === "stays" &&
    ((out.get(a.from) ?? 0) > fewArrows || (into.get(a.to) ?? 0) > fewArrows)).map((a) => a.id));
}

/** hubText tells the faint arrows of a box: how many there are, and by what if by one thing. */
function hubText(g: Graph, b: Box, hubs: ReadonlySet<string>): string {
  const parts: string[] = [];
  for (const way of ["to", "from"] as const) {
    const mine = g.arrows.filter((a) => hubs.has(a.id) && (way === "to" ? a.from : a.to) === b.id);
    if (mine.length <= fewArrows) continue;
    const words = new Set(mine.map(arrowLabel));
    parts.push(`${way} ${count(mine.length, "other")}${words.size === 1
      ? `: ${[...words][0]}` : ""}`);
  }
  return parts.join("; ");
}

/** planOf is what is to be laid out for a graph. */
export function planOf(g: Graph): Plan {
  const hubs = hubArrows(g);
  const across = g.arrows.filter((a) => a.from !== a.to && !hubs.has(a.id));
  const labels = across.length <= mostLabels;
  return {
    boxes: g.boxes.map((b) => {
      const self = selfOf(g, b), hub = hubText(g, b, hubs);
      const wide = Math.max(columns(labelOf(b)) * nameLetter, ...aboutLines(b).map((l) => columns(l) * codeLetter),
        columns(hub) * codeLetter,
        self === undefined ? 0 : columns(selfLabel(self)) * codeLetter + 18);
      return { id: b.id, isNetwork: b.kind === "network",
        width: Math.ceil(Math.max(wide + 2 * padding, leastWidth)),
        height: headHeight(b) + 8 + (self === undefined ? 0 : rowHeight) + (hub === "" ? 0 : 18) };
    }),
    arrows: across.map((a) => ({ id: a.id, from: a.from, to: a.to,
      label: labels || a.state !== "stays"
        ? Math.ceil(columns(arrowLabel(a)) * codeLetter + 10) : 0 })),
  };
}

const selfLabel = (a: Arrow): string => `within: ${arrowLabel(a)}`;

/** draw puts a graph at its places. */
export function draw(g: Graph, at: Layout): Drawing {
  const boxes = new Map(g.boxes.map((b) => [b.id, b]));
  const hubs = hubArrows(g);
  const drawn = at.boxes.map((p) => drawnBox(boxes.get(p.id)!, p, hubText(g, boxes.get(p.id)!, hubs)));
  const ways = new Map(at.ways.map((w) => [w.id, w]));
  const places = new Map(at.boxes.filter((p) => p.side !== "destination").map((p) => [p.id, p]));
  const arrows = g.arrows.map((a) => {
    const name = arrowName(a, boxes);
    if (a.from === a.to) return drawnSelf(a, places.get(a.from)!, boxes.get(a.from)!, name);
    const way = ways.get(a.id) ?? straight(a, places.get(a.from)!, at.boxes);
    const one = drawnArrow(a, way, name);
    return ways.has(a.id) ? one : { ...one, className: one.className + " faint" };
  });
  return { width: at.width, height: at.height, boxes: drawn, arrows };
}

/** straight is the way of an arrow that was not laid out. */
function straight(a: Arrow, from: Placed, all: readonly Placed[]): Way {
  const to = all.find((p) => p.id === a.to && p.side !== "source")!;
  const leftward = to.x + to.width / 2 < from.x + from.width / 2;
  const isAbove = to.x < from.x + from.width && from.x < to.x + to.width;
  const [out, into] = leftward && !isAbove ? [from.x, to.x + to.width] : [from.x + from.width, to.x];
  const slant = Math.sign(to.y - from.y) * Math.min(from.height / 2 - 8, Math.abs(to.y - from.y) / 8);
  return { id: a.id, leftward: leftward && !isAbove, points: [
    { x: out, y: from.y + from.height / 2 + slant }, { x: into, y: to.y + to.height / 2 - 9 }] };
}

function drawnBox(box: Box, at: Placed, hub: string): DrawnBox {
  const label = labelOf(box);
  const state = box.state === "stays" ? "" : ` ${box.state}`;
  const told = box.state === "stays" ? "" : `, ${box.state}`;
  return { ...at, box, key: `${at.id}\n${at.side}`, label, about: aboutLines(box), hub,
    name: `${kindWord(box)} ${box.name}: ${about(box)}${told}`,
    className: `box ${box.kind}${state}` };
}

const kindWord = (b: Box): string => b.kind === "fold" ? "groups" : b.kind;

/** arrowName says an arrow in words: "management to backend: tcp/22". */
export function arrowName(a: Arrow, boxes: ReadonlyMap<string, Box>): string {
  const from = boxes.get(a.from)?.name ?? "", to = boxes.get(a.to)?.name ?? "";
  const ends = a.from === a.to ? `within ${from}` : `${from} to ${to}`;
  let text = `${ends}: ${a.services.join(", ") || "nothing"}`;
  for (const s of a.said.filter((s) => s.state !== "stays")) {
    text += `; ${s.state} ${s.words.join(", ")} (${s.direction} of ${s.group})`;
  }
  return a.lacks === undefined ? text : `${text}; passes nothing: ${a.lacks}`;
}

function classOf(a: Arrow): string {
  if (a.state !== "stays") return `arrow ${a.state}`;
  return a.lacks === undefined ? "arrow" : "arrow lacks";
}

function drawnArrow(a: Arrow, way: Way, name: string): DrawnArrow {
  const size = a.state === "stays" ? 8 : 11;
  const out: DrawnArrow = { arrow: a, id: a.id, name, className: classOf(a),
    line: curve(way), head: headOf(way, size) };
  if (way.label !== undefined) {
    const text = arrowLabel(a);
    out.label = { ...way.label, text, width: Math.ceil(columns(text) * codeLetter + 8) };
  }
  return out;
}

/** drawnSelf is an arrow from a box to itself: a row in it, with a ring. */
function drawnSelf(a: Arrow, at: Placed, box: Box, name: string): DrawnArrow {
  const x = at.x + padding, y = at.y + headHeight(box) + rowHeight / 2 - 2;
  const text = selfLabel(a);
  const width = Math.ceil(columns(text) * codeLetter + 8);
  return { arrow: a, id: a.id, name, className: classOf(a) + " self",
    line: `M${x + 9} ${y - 4}a5 5 0 1 0 1.5 3.5`, head: `M${x + 13} ${y - 3}l-5 .5l3 3.5z`,
    label: { x: x + 16 + width / 2, y, text, width } };
}

const n = (v: number): string => String(Math.round(v * 10) / 10);

/** curve leads through the points of a way, and is level at each of them. */
export function curve(way: Way): string {
  const [first, ...rest] = way.points as [Point, ...Point[]];
  let out = `M${n(first.x)} ${n(first.y)}`;
  let at = first;
  for (const to of rest) {
    const bend = (to.x - at.x) / 2;
    out += `C${n(at.x + bend)} ${n(at.y)} ${n(to.x - bend)} ${n(to.y)} ${n(to.x)} ${n(to.y)}`;
    at = to;
  }
  return out;
}

function headOf(way: Way, size: number): string {
  const end = way.points[way.points.length - 1]!;
  const back = way.leftward ? size : -size;
  return `M${n(end.x)} ${n(end.y)}l${n(back)} ${n(-size / 2)}v${n(size)}z`;
}
