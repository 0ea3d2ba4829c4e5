// Where boxes and arrows stand. Groups stand in layers by dagre, so that arrows go from left to right
// as far as they can; a network that is a source stands on the left, and once more on the right if
// it is a destination, too. Pure; layout.worker.ts calls it, so that no page waits.

import dagre from "@dagrejs/dagre";

/** What is laid out: sizes are in pixels. */
export interface Plan {
  boxes: { id: string; width: number; height: number; isNetwork: boolean }[];
  /** label is how wide what is written at an arrow is; 0 = nothing is. */
  arrows: { id: string; from: string; to: string; label: number }[];
}

export interface Point { x: number; y: number }

/** A box that has its place: x and y are of its left upper corner. */
export interface Placed extends Point {
  id: string;
  /** side of a network: where its arrows are. */
  side: "both" | "source" | "destination";
  width: number;
  height: number;
}

/** The way of an arrow: points from one box to the other, and the middle of its label. */
export interface Way {
  id: string;
  points: Point[];
  label?: Point;
  /** leftward = it goes from right to left. */
  leftward: boolean;
}

export interface Layout {
  width: number;
  height: number;
  boxes: Placed[];
  ways: Way[]; // of those that lead from one box to another
}

const margin = 16;
const labelHeight = 18;
const port = 10; // between two arrows that meet a box at the same side

/** layOut gives everything its place. */
export function layOut(plan: Plan): Layout {
  const g = new dagre.graphlib.Graph({ multigraph: true });
  const labels = plan.arrows.some((a) => a.label > 0);
  g.setGraph({ rankdir: "LR", nodesep: 22, edgesep: 12, ranksep: labels ? 24 : 84,
    marginx: margin, marginy: margin, acyclicer: "greedy", ranker: "tight-tree" });
  const across = plan.arrows.filter((a) => a.from !== a.to);
  const ends = endsOf(plan, across);
  addBoxes(g, plan, across, ends);
  const far = lengths(plan, across);
  for (const a of across) {
    g.setEdge(ends.from(a), ends.to(a), { width: a.label, height: a.label > 0 ? labelHeight : 0,
      labelpos: "c", weight: 1, minlen: far(a) }, a.id);
  }
  dagre.layout(g);
  return read(g, across, ends);
}

type Across = Plan["arrows"][number];

/**
 * lengths says over how many layers an arrow leads at least: those of networks over all that are
 * before or behind the group, so that networks stand at the edges.
 */
function lengths(plan: Plan, across: readonly Across[]): (a: Across) => number {
  const networks = new Set(plan.boxes.filter((b) => b.isNetwork).map((b) => b.id));
  const layer = layers(across.filter((a) => !networks.has(a.from) && !networks.has(a.to)));
  const deepest = Math.max(0, ...layer.values());
  return (a) => networks.has(a.from) ? 1 + (layer.get(a.to) ?? 0)
    : networks.has(a.to) ? 1 + deepest - (layer.get(a.from) ?? 0) : 1;
}

/** layers are how many arrows lead to each box one behind the other; circles are cut open. */
function layers(arrows: readonly Across[]): Map<string, number> {
  const next = new Map<string, string[]>();
  for (const a of arrows) next.set(a.from, [...next.get(a.from) ?? [], a.to]);
  const order: string[] = [], state = new Map<string, "open" | "done">();
  const forward = new Map<string, string[]>();
  const visit = (id: string): void => {
    state.set(id, "open");
    for (const to of next.get(id) ?? []) {
      if (state.get(to) === "open") continue;
      forward.set(id, [...forward.get(id) ?? [], to]);
      if (!state.has(to)) visit(to);
    }
    state.set(id, "done");
    order.push(id);
  };
  for (const id of next.keys()) if (!state.has(id)) visit(id);
  const out = new Map<string, number>();
  for (const id of order.reverse()) {
    for (const to of forward.get(id) ?? []) {
      out.set(to, Math.max(out.get(to) ?? 0, (out.get(id) ?? 0) + 1));
    }
  }
  return out;
}

/** Ends says which node an arrow begins and ends at. */
interface Ends {
  from: (a: Across) => string;
  to: (a: Across) => string;
  isTwice: (id: string) => boolean;
}

const behind = "\n>"; // of the node of a network as a destination

function endsOf(plan: Plan, across: readonly Across[]): Ends {
  const networks = new Set(plan.boxes.filter((b) => b.isNetwork).map((b) => b.id));
  const sources = new Set(across.map((a) => a.from));
  const destinations = new Set(across.map((a) => a.to));
  const isTwice = (id: string): boolean =>
    networks.has(id) && sources.has(id) && destinations.has(id);
  return { from: (a) => a.from, to: (a) => isTwice(a.to) ? a.to + behind : a.to, isTwice };
}

function addBoxes(g: dagre.graphlib.Graph, plan: Plan, across: readonly Across[], ends: Ends):
  void {
  const meets = new Map<string, number>();
  for (const a of across) {
    for (const id of [ends.from(a) + "/from", ends.to(a) + "/to"]) {
      meets.set(id, (meets.get(id) ?? 0) + 1);
    }
  }
  for (const b of plan.boxes) {
    for (const id of ends.isTwice(b.id) ? [b.id, b.id + behind] : [b.id]) {
      const most = Math.max(meets.get(id + "/from") ?? 0, meets.get(id + "/to") ?? 0);
      g.setNode(id, { width: b.width, height: Math.max(b.height, (most + 1) * port) });
    }
  }
}

function read(g: dagre.graphlib.Graph, across: readonly Across[], ends: Ends): Layout {
  const boxes = g.nodes().map((node): Placed => {
    const { x, y, width, height } = g.node(node);
    const id = node.endsWith(behind) ? node.slice(0, -behind.length) : node;
    const side = !ends.isTwice(id) ? "both" : id === node ? "source" : "destination";
    return { id, side, x: x - width / 2, y: y - height / 2, width, height };
  });
  const ways = across.map((a): Way => {
    const edge = g.edge({ v: ends.from(a), w: ends.to(a), name: a.id });
    const points = (edge.points as Point[]).map(({ x, y }) => ({ x, y }));
    const way: Way = { id: a.id, points, leftward: false };
    if (a.label > 0 && edge.x !== undefined && edge.y !== undefined) {
      way.label = { x: edge.x, y: edge.y };
    }
    return way;
  });
  const at = new Map(g.nodes().map((node, n) => [node, boxes[n]!]));
  fasten(across, ways, (a) => [at.get(ends.from(a))!, at.get(ends.to(a))!]);
  const { width = 0, height = 0 } = g.graph();
  return { width: Math.max(width, 2 * margin), height: Math.max(height, 2 * margin), boxes, ways };
}

/** A place where an arrow meets a side of a box, and what it comes from or leads to. */
interface Meeting {
  point: Point;
  towards: Point;
}

/** fasten spreads the ends of arrows along the sides of their boxes, in the order of their ways. */
function fasten(across: readonly Across[], ways: readonly Way[],
  boxesOf: (a: Across) => [Placed, Placed]): void {
  const sides = new Map<Placed, { left: Meeting[]; right: Meeting[] }>();
  const meet = (box: Placed, side: "left" | "right", m: Meeting): void => {
    const at = sides.get(box) ?? { left: [], right: [] };
    sides.set(box, at);
    at[side].push(m);
  };
  for (const [n, a] of across.entries()) {
    const way = ways[n]!, [from, to] = boxesOf(a);
    const { points } = way;
    way.leftward = to.x + to.width / 2 < from.x + from.width / 2;
    const first = points[0]!, last = points[points.length - 1]!;
    meet(from, way.leftward ? "left" : "right", { point: first, towards: points[1] ?? last });
    meet(to, way.leftward ? "right" : "left",
      { point: last, towards: points[points.length - 2] ?? first });
  }
  for (const [box, at] of sides) {
    for (const side of ["left", "right"] as const) spread(box, side, at[side]);
  }
}

function spread(box: Placed, side: "left" | "right", list: Meeting[]): void {
  list.sort((a, b) => a.towards.y - b.towards.y);
  const step = box.height / (list.length + 1);
  for (const [n, m] of list.entries()) {
    m.point.x = side === "left" ? box.x : box.x + box.width;
    m.point.y = box.y + step * (n + 1);
  }
}
