// Who may have a line and a column in the matrix of a policy. Pure; the matrix calls it.

import type { Group } from "../api";
import { compare, outside } from "../picture/graph";
import type { Graph } from "../picture/graph";
import type { End } from "./table";

/**
 * endsOf are the ends of a policy: its groups, outside, the networks that rules name, and external
 * sources. Groups of others have no end of their own: what their members are is not known here.
 */
export function endsOf(groups: readonly Group[], graph: Graph): End[] {
  const own = groups.map((g): End => ({ name: g.name, kind: "group" }))
    .sort((a, b) => compare(a.name, b.name));
  const networks = graph.boxes.filter((b) => b.kind === "network" && b.name !== outside)
    .map((b): End => ({ name: b.name, kind: "network" }));
  const sources = groups.filter((g) => (g.external_sources ?? []).length > 0)
    .map((g): End => ({ name: `external sources of ${g.name}`, kind: "network" }));
  const taken = new Set(own.map((e) => e.name));
  return [...own, { name: outside, kind: "network" as const },
    ...[...networks, ...sources].sort((a, b) => compare(a.name, b.name))]
    .filter((e) => e.kind === "group" || !taken.has(e.name));
}

/** meant are the ends that a filter by name leaves; outside is always there. */
export const meant = (ends: readonly End[], text: string): End[] => {
  const want = text.trim().toLowerCase();
  return want === "" ? [...ends]
    : ends.filter((e) => e.name === outside || e.name.toLowerCase().includes(want));
};
