// Layouts, drawings, and the exported file.
import assert from "node:assert/strict";
import { test } from "node:test";

import { diff } from "../diff/diff";
import { arrowLabel, draw, hubArrows, planOf } from "./drawing";
import { anything, example, tiers } from "./fixtures";
import { graphOf } from "./graph";
import type { Graph } from "./graph";
import { layOut } from "./layout";
import { svgText } from "./svg";
import { columns, short, shortList } from "./text";
import { fit } from "./viewport";

const drawn = (g: Graph) => draw(g, layOut(planOf(g)));

const apart = (a: Box, b: Box): boolean => a.x + a.width <= b.x + 0.01 || b.x + b.width <= a.x + 0.01 ||
  a.y + a.height <= b.y + 0.01 || b.y + b.height <= a.y + 0.01;

interface Box { x: number; y: number; width: number; height: number }

const graphs = (): Graph[] => [graphOf(example), graphOf(tiers(30, 1)), graphOf([]),
  graphOf([{ name: "alone", rules: [] }]),
  ...Array.from({ length: 12 }, (_, n) => graphOf(anything(3 + n, 6 + 2 * n, n + 1)))];

test("no box covers another, and no label covers a box or another label", () => {
  for (const [n, g] of graphs().entries()) {
    const d = drawn(g);
    const labels = d.arrows.filter((a) => a.arrow.from !== a.arrow.to && a.label !== undefined)
      .map((a) => ({ x: a.label!.x - a.label!.width / 2, y: a.label!.y - 8, width: a.label!.width,
        height: 16 }));
    for (const [i, b] of d.boxes.entries()) {
      for (const o of d.boxes.slice(i + 1)) assert.ok(apart(b, o), `${n}: ${b.name} and ${o.name}`);
      for (const l of labels) assert.ok(apart(b, l), `${n}: a label on ${b.name}`);
      assert.ok(b.x >= 0 && b.y >= 0 && b.x + b.width <= d.width && b.y + b.height <= d.height);
      assert.ok(columns(b.label) * 9.2 <= b.width && b.about.every((l) => columns(l) * 7.3 <= b.width));
    }
    for (const [i, l] of labels.entries()) {
      for (const o of labels.slice(i + 1)) assert.ok(apart(l, o), `${n}: two labels`);
    }
  }
});

test("the example is whole at first sight on a laptop, and can be read", () => {
  const d = drawn(graphOf(example)), room = { width: 1025, height: d.height + 60 };
  const { scale } = fit(d, room);
  assert.ok(scale * 12 >= 11, `its letters are of ${(scale * 12).toFixed(1)} px`);
});

test("each arrow meets its boxes at their sides, and no two of them at the same place", () => {
  for (const g of graphs()) {
    const plan = planOf(g);
    const l = layOut(plan);
    const seen = new Set<string>();
    for (const way of l.ways) {
      const [from, to] = way.id.split("\n");
      const start = way.points[0]!, end = way.points[way.points.length - 1]!;
      for (const [at, id, skip] of [[start, from, "destination"], [end, to, "source"]] as const) {
        const box = l.boxes.find((b) => b.id === id && b.side !== skip)!;
        assert.ok(Math.abs(at.x - box.x) < 0.01 || Math.abs(at.x - box.x - box.width) < 0.01);
        assert.ok(at.y > box.y && at.y < box.y + box.height);
        const place = `${at.x.toFixed(2)},${at.y.toFixed(2)}`;
        assert.ok(!seen.has(place), "two arrows at one place");
        seen.add(place);
      }
    }
    assert.equal(l.ways.length,
      g.arrows.filter((a) => a.from !== a.to).length - hubArrows(g).size);
  }
});

test("a network that is both stands on both sides", () => {
  const g = graphOf([{ name: "a", rules: [
    { direction: "ingress", protocol: "any", cidr: "10.0.0.0/8" },
    { direction: "egress", protocol: "any", cidr: "10.0.0.0/8" }] }]);
  const [one, other, group] = ["source", "destination", "both"].map((side) =>
    layOut(planOf(g)).boxes.find((b) => b.side === side)!);
  assert.ok(one!.x < group!.x && group!.x < other!.x);
});

test("the same policy gives the same picture", () => {
  for (const g of graphs()) assert.equal(svgText(drawn(g), "t"), svgText(drawn(g), "t"));
});

test("the file is one element, and names are text in it", () => {
  for (const [n, g] of graphs().entries()) {
    const out = svgText(drawn(g), `of <everybody> & "all" ${n}`);
    const tags = [...out.matchAll(/<\/?([a-zA-Z]+)/g)].map((m) => m[1]!);
    const known = ["svg", "title", "desc", "style", "rect", "text", "g", "path"];
    for (const tag of tags) assert.ok(known.includes(tag), tag);
    assert.ok(!/\son\w+="/.test(out.replace(/>[^<]*</g, "><")), "no handlers");
    assert.ok(!out.replace("http://www.w3.org/2000/svg", "").includes("://"), "nothing elsewhere");
    assert.equal(tags.filter((t) => t === "svg").length, 2);
    let depth = 0;
    for (const m of out.matchAll(/<(\/?)[a-z]+(?:\s[^<>]*?)?(\/?)>/g)) {
      depth += m[1] ? -1 : m[2] ? 0 : 1;
      assert.ok(depth >= 0);
    }
    assert.equal(depth, 0, "each element is closed");
  }
});

test("what changes says so in words, by its sign and its class", () => {
  const after = structuredClone(example);
  after[1]!.rules![0]!.ports = 5432;
  after[2]!.rules!.push({ direction: "ingress", protocol: "udp", ports: 161, cidr: "10.0.0.0/8" });
  const d = drawn(diff(example, after).graph);
  const at = (id: string) => d.arrows.find((a) => a.id === id)!;
  const changed = at("g:frontend\ng:backend");
  assert.match(changed.className, /changed/);
  assert.equal(arrowLabel(changed.arrow), "+tcp/5432, −tcp/3306");
  assert.match(changed.name, /gained tcp\/5432.*lost tcp\/3306/);
  assert.match(at("n:10.0.0.0/8\ng:management").className, /gained/);
  const out = svgText(d, "draft");
  assert.match(out, /arrow gained/);
  assert.match(out, /−tcp\/3306/);
});

test("texts are cut at letters, and lists tell how many more there are", () => {
  assert.equal(short("数据库数据库", 7), "数据库…");
  assert.equal(columns(short("x".repeat(50), 10)), 10);
  assert.equal(shortList(["tcp/1", "tcp/2", "tcp/3", "tcp/4", "tcp/5"], 17), "tcp/1, tcp/2, +3");
  assert.equal(shortList([], 10), "nothing");
});

test("what nearly all have to do with is drawn faint, told in its box, and pushes nothing apart", () => {
  const g = graphOf(tiers(28, 1));
  const hubs = hubArrows(g);
  const d = drawn(g);
  const of = d.boxes.find((b) => b.box.name === "management")!;
  assert.match(of.hub, /^to 27 others: tcp\/22$/);
  assert.equal(d.arrows.length, g.arrows.length, "each arrow is there");
  assert.ok(d.arrows.filter((a) => hubs.has(a.id)).every((a) => a.className.includes("faint")));
  const after = tiers(28, 1);
  for (const one of after.slice(1)) one.rules![0]!.ports = 2222;
  const changed = diff(tiers(28, 1), after).graph;
  assert.ok([...hubArrows(changed)].every((id) =>
    changed.arrows.find((a) => a.id === id)!.state === "stays"), "what changes is never faint");
  assert.equal(hubArrows(graphOf(example)).size, 0);
});
