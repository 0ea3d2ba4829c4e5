// Several groups as one box: those of a project, or those whose names begin alike. Pure; the page of
// the picture calls it.

import { arrowID } from "./graph";
import type { Arrow, Box, Graph, State } from "./graph";
import { union, ofWords, words } from "../diff/services";

/** How groups are put together. */
export type Folding = "none" | "project" | "prefix";

/**
 * keyOf is what a group is put together by: "acme/" of acme/web, "web-" of web-eu-1; "" = nothing.
 * A prefix ends at the last of - _ . and /, and a number alone is no name.
 */
export function keyOf(name: string, by: Folding): string {
  if (by === "none") return "";
  if (by === "project") return /^[^/]+\//.exec(name)?.[0] ?? "";
  const project = /^[^/]+\//.exec(name)?.[0] ?? "";
  const own = name.slice(project.length);
  const prefix = /^(.+?)[-_.]?\d+$/.exec(own)?.[1] ?? /^(.+)[-_.][^-_.]*$/.exec(own)?.[1];
  return prefix === undefined ? project : project + prefix;
}

/** fold puts groups together, but for those whose key is in `open`, and those that are alone. */
export function fold(g: Graph, by: Folding, open: ReadonlySet<string> = new Set()): Graph {
  const holds = new Map<string, Box[]>();
  for (const b of g.boxes) {
    const key = b.kind === "group" ? keyOf(b.name, by) : "";
    if (key === "" || open.has(key)) continue;
    holds.set(key, [...holds.get(key) ?? [], b]);
  }
  const into = new Map<string, string>();
  const boxes: Box[] = [];
  for (const [key, list] of holds) {
    if (list.length < 2) continue;
    const box = folded(key, list);
    boxes.push(box);
    for (const b of list) into.set(b.id, box.id);
  }
  if (boxes.length === 0) return g;
  return { boxes: [...boxes, ...g.boxes.filter((b) => !into.has(b.id))],
    arrows: foldedArrows(g.arrows, into) };
}

function folded(key: string, list: readonly Box[]): Box {
  const members = list.reduce((sum, b) => sum + (b.members ?? 0), 0);
  return { id: "f:" + key, name: key, kind: "fold", members, holds: list.map((b) => b.name),
    rules: list.reduce((sum, b) => sum + b.rules, 0), state: stateOf(list) };
}

function foldedArrows(arrows: readonly Arrow[], into: ReadonlyMap<string, string>): Arrow[] {
  const out = new Map<string, Arrow[]>();
  for (const a of arrows) {
    const [from, to] = [into.get(a.from) ?? a.from, into.get(a.to) ?? a.to];
    const id = arrowID(from, to);
    const list = out.get(id);
    if (list === undefined) out.set(id, [{ ...a, id, from, to }]);
    else list.push(a);
  }
  return [...out.values()].map(joined);
}

/** joined makes parallel arrows one. Nothing passes by it only if nothing does by any of them. */
function joined(list: readonly Arrow[]): Arrow {
  const [first] = list as [Arrow];
  if (list.length === 1) return first;
  const out: Arrow = { ...first, said: list.flatMap((a) => a.said), state: stateOf(list),
    services: joinedWords(list) };
  if (list.some((a) => a.lacks === undefined)) delete out.lacks;
  return out;
}

function joinedWords(list: readonly Arrow[]): string[] {
  const all = [...new Set(list.flatMap((a) => a.services))];
  if (all.some((w) => w.endsWith(")"))) return all;
  return words(list.map((a) => ofWords(a.services)).reduce(union));
}

/** stateOf is that of all, or changed. */
function stateOf(list: readonly { state: State }[]): State {
  const [first] = list as [{ state: State }];
  return list.every((one) => one.state === first.state) ? first.state : "changed";
}
