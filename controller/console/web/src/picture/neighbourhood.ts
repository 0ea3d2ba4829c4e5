// The part of a graph that is around some boxes. Pure; the page of the picture calls it.

import type { Arrow, Box, Graph } from "./graph";

/** How many boxes a picture has at most. */
export const mostBoxes = 30;

export interface Neighbourhood extends Graph {
  /** out are how many boxes as near as those that are shown had no room. */
  out: number;
}

/**
 * neighbourhood returns what is up to some steps from a box, at most so many boxes: those of fewer
 * steps first, then those with more rules. Nothing is looked for behind a network: everybody is
 * behind outside. Arrows between two boxes of the last step are left out: they are not about it.
 */
export function neighbourhood(g: Graph, chosen: string, steps: number, most = mostBoxes):
  Neighbourhood {
  const byID = new Map(g.boxes.map((b) => [b.id, b]));
  if (!byID.has(chosen)) return { boxes: [], arrows: [], out: 0 };
  const links = linksOf(g.arrows);
  const distance = new Map([[chosen, 0]]);
  let ring = [chosen];
  let out = 0;
  for (let step = 1; step <= steps && ring.length > 0; step++) {
    const next = new Map<string, number>();
    for (const id of ring) {
      if (id !== chosen && byID.get(id)?.kind === "network") continue;
      for (const [other, weight] of links.get(id) ?? []) {
        if (!distance.has(other)) next.set(other, (next.get(other) ?? 0) + weight);
      }
    }
    const order = [...next].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
      .map(([id]) => id);
    const room = Math.max(0, most - distance.size);
    out += Math.max(0, order.length - room);
    ring = order.slice(0, room);
    for (const id of ring) distance.set(id, step);
  }
  const near = (id: string): number => distance.get(id) ?? Infinity;
  return { out, boxes: g.boxes.filter((b: Box) => distance.has(b.id)),
    arrows: g.arrows.filter((a: Arrow) => distance.has(a.from) && distance.has(a.to) &&
      Math.min(near(a.from), near(a.to)) < steps) };
}

/** linksOf are the other ends of each box, with how many rules lead there. */
function linksOf(arrows: readonly Arrow[]): Map<string, [string, number][]> {
  const out = new Map<string, [string, number][]>();
  const add = (at: string, other: string, weight: number): void => {
    const list = out.get(at);
    if (list === undefined) out.set(at, [[other, weight]]);
    else list.push([other, weight]);
  };
  for (const a of arrows) {
    if (a.from === a.to) continue;
    add(a.from, a.to, a.said.length);
    add(a.to, a.from, a.said.length);
  }
  return out;
}

/** reached are the ids that arrows lead to from a box, and those from which they lead to it. */
export function reached(g: Graph, id: string): { to: Set<string>; from: Set<string> } {
  const to = new Set<string>(), from = new Set<string>();
  for (const a of g.arrows) {
    if (a.lacks !== undefined) continue;
    if (a.from === id) to.add(a.to);
    if (a.to === id) from.add(a.from);
  }
  return { to, from };
}
