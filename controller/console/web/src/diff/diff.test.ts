import assert from "node:assert/strict";
import { test } from "node:test";

import type { Group } from "../api/types";
import { anything, dice, example } from "../picture/fixtures";
import { graphOf } from "../picture/graph";
import { changes, diff } from "./diff";
import type { Line } from "./diff";

const told = (lines: readonly Line[]): string[] => lines.map((l) =>
  `${l.group} ${l.state} ${l.direction} ${l.words.join(", ")} ${l.from} -> ${l.to}`).sort();

test("the example without MySQL, with a closed egress: what plan says, too", () => {
  const after = structuredClone(example);
  after[1]!.rules![0]!.ports = 5432;
  after[2]!.rules!.push({ direction: "egress", protocol: "tcp", ports: 22, group: "backend" });
  const d = diff(example, after);
  assert.deepEqual(told(d.lines), [
    "backend gained ingress tcp/5432 frontend -> backend",
    "backend lost ingress tcp/3306 frontend -> backend",
    "management lost egress any management -> outside",
  ]);
  assert.match(d.lines.find((l) => l.words[0] === "any")?.reason ?? "",
    /egress was open, and is closed by egress tcp 22 to group backend/);
  const states = new Map(changes(d).arrows.map((a) => [a.id, a.state]));
  assert.equal(states.get("g:frontend\ng:backend"), "changed");
  assert.equal(states.get("g:management\nn:outside"), "lost");
  assert.equal(states.get("g:management\ng:backend"), undefined, "it was open");
});

test("a rule that is split, moved or said twice changes nothing", () => {
  const rules = (list: Group["rules"]): Group[] => [{ name: "a", rules: list! }];
  const one = { direction: "ingress", protocol: "tcp", group: "b" } as const;
  const d = diff(rules([{ ...one, ports: "80-90" }]),
    rules([{ ...one, ports: "85-90" }, { ...one, ports: ["80-84", 82] }]));
  assert.deepEqual(d.lines, []);
  assert.ok(d.graph.arrows.every((a) => a.state === "stays"));
});

test("a group that comes or goes is told, and its rules", () => {
  const rules = [{ direction: "ingress" as const, protocol: "any", group: "b" }];
  const d = diff([{ name: "b", rules: [] }], [{ name: "b", rules: [] }, { name: "a", rules }]);
  assert.equal(d.graph.boxes.find((b) => b.name === "a")?.state, "gained");
  assert.equal(d.graph.arrows[0]?.state, "gained");
  const back = diff([{ name: "b", rules: [] }, { name: "a", rules }], [{ name: "b", rules: [] }]);
  assert.equal(back.graph.boxes.find((b) => b.name === "a")?.state, "lost");
  assert.equal(back.graph.arrows[0]?.state, "lost");
});

test("the last egress rule that goes opens what it closed", () => {
  const rule = { direction: "egress" as const, protocol: "tcp", ports: 443, cidr: "0.0.0.0/0" };
  const d = diff([{ name: "a", rules: [rule] }], [{ name: "a", rules: [] }]);
  assert.deepEqual(told(d.lines),
    ["a gained egress any but tcp/443, tcp/443 (IPv6) a -> outside"]);
  assert.match(d.lines[0]?.reason ?? "", /no egress rule any more/);
});

// What a family says of a single service is the plain meaning that lines are held against.
test("forward and back are the same lines turned round, and nothing is both", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const roll = dice(seed);
    const before = anything(8, 24, seed);
    const after = structuredClone(before);
    for (const g of after) g.rules = g.rules!.filter(() => roll() < 0.8);
    const there = told(diff(before, after).lines), back = told(diff(after, before).lines);
    const turned = back.map((l) => / gained /.test(l) ? l.replace(" gained ", " lost ")
      : l.replace(" lost ", " gained ")).sort();
    assert.deepEqual(there, turned, String(seed));
    assert.equal(new Set(there).size, there.length);
    assert.ok(there.filter((l) => l.includes(" gained ")).every((l) => l.includes("egress")),
      "rules that go give nothing, but for egress that opens");
    assert.deepEqual(diff(before, before).lines, []);
    assert.equal(changes(diff(after, after)).arrows.length, 0);
  }
});

test("the graph of a diff has the arrows of both", () => {
  for (let seed = 1; seed <= 40; seed++) {
    const [before, after] = [anything(8, 20, seed), anything(8, 20, seed + 1000)];
    const ids = new Set(diff(before, after).graph.arrows.map((a) => a.id));
    for (const a of [...graphOf(before).arrows, ...graphOf(after).arrows]) assert.ok(ids.has(a.id));
    const boxes = new Set(diff(before, after).graph.boxes.map((b) => b.id));
    for (const id of [...ids].flatMap((i) => i.split("\n"))) assert.ok(boxes.has(id), id);
  }
});
