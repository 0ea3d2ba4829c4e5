// Neighbourhoods and folds.
import assert from "node:assert/strict";
import { test } from "node:test";

import { anything, example, tiers } from "./fixtures";
import { fold, keyOf } from "./fold";
import { graphOf, groupID, networkID, outside } from "./graph";
import { mostBoxes, neighbourhood, reached } from "./neighbourhood";

test("a neighbourhood is what arrows lead to, and not what is behind outside", () => {
  const g = graphOf(example);
  const near = neighbourhood(g, groupID("management"), 1);
  assert.deepEqual(near.boxes.map((b) => b.name).sort(),
    ["198.51.100.0/24", "backend", "frontend", "management"]);
  assert.ok(near.arrows.every((a) => a.id.includes("g:management")));
  const two = graphOf([{ name: "a", rules: [{ direction: "ingress", protocol: "any",
    cidr: "0.0.0.0/0" }] }, { name: "b", rules: [{ direction: "ingress", protocol: "any",
    cidr: "0.0.0.0/0" }] }]);
  assert.deepEqual(neighbourhood(two, groupID("a"), 2).boxes.map((b) => b.name), ["a", outside]);
  assert.equal(neighbourhood(two, networkID(outside), 1).boxes.length, 3, "it was chosen");
  assert.deepEqual(neighbourhood(g, groupID("gone"), 1).boxes, []);
});

test("a neighbourhood is never larger than a picture, and says what it leaves out", () => {
  const g = graphOf(tiers(3000, 3));
  for (const steps of [1, 2]) {
    const near = neighbourhood(g, groupID("management"), steps);
    assert.equal(near.boxes.length, mostBoxes);
    assert.ok(near.out > 2900);
  }
});

test("each box of a neighbourhood is linked with the chosen one, and its arrows are the policy's",
  () => {
    for (let seed = 1; seed <= 60; seed++) {
      const g = graphOf(anything(40, 80, seed));
      const chosen = g.boxes[seed % g.boxes.length]!.id;
      const one = neighbourhood(g, chosen, 1), two = neighbourhood(g, chosen, 2);
      for (const b of one.boxes) {
        assert.ok(b.id === chosen || g.arrows.some((a) =>
          [a.from, a.to].includes(b.id) && [a.from, a.to].includes(chosen)));
        assert.ok(two.boxes.includes(b) || two.boxes.length === mostBoxes);
      }
      const ids = new Set(two.boxes.map((b) => b.id));
      for (const a of two.arrows) assert.ok(g.arrows.includes(a) && ids.has(a.from) && ids.has(a.to));
    }
  });

test("who is reached, and who reaches; what passes nothing does not count", () => {
  const g = graphOf(example);
  const all = reached(g, groupID("frontend"));
  assert.deepEqual([...all.to], ["g:backend"]);
  assert.deepEqual([...all.from].sort(), ["g:management", "n:outside"]);
  for (const a of g.arrows) a.lacks = "nothing";
  assert.equal(reached(g, groupID("frontend")).to.size, 0);
});

test("names are put together by project, or by how they begin", () => {
  assert.equal(keyOf("acme/web", "project"), "acme/");
  assert.equal(keyOf("web", "project"), "");
  assert.equal(keyOf("web-12", "prefix"), "web");
  assert.equal(keyOf("acme/web-eu", "prefix"), "acme/web");
  assert.equal(keyOf("acme/web2", "prefix"), "acme/web");
  assert.equal(keyOf("web", "prefix"), "");
  assert.equal(keyOf("web-1", "none"), "");
});

test("a fold has all members, and all rules but once", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const g = graphOf(anything(30, 90, seed));
    for (const by of ["project", "prefix", "none"] as const) {
      const f = fold(g, by);
      const names = f.boxes.flatMap((b) => b.holds ?? [b.name]).sort();
      assert.deepEqual(names, g.boxes.map((b) => b.name).sort());
      const said = (list: typeof g): number => list.arrows.reduce((n, a) => n + a.said.length, 0);
      assert.equal(said(f), said(g));
      assert.equal(new Set(f.arrows.map((a) => a.id)).size, f.arrows.length);
      const ids = new Set(f.boxes.map((b) => b.id));
      for (const a of f.arrows) assert.ok(ids.has(a.from) && ids.has(a.to));
    }
  }
});

test("a fold that is opened, and a group that is alone, stay as they are", () => {
  const g = graphOf([{ name: "a/x", rules: [] }, { name: "a/y", rules: [] },
    { name: "b/z", rules: [] }]);
  assert.deepEqual(fold(g, "project").boxes.map((b) => b.name), ["a/", "b/z"]);
  assert.equal(fold(g, "project", new Set(["a/"])).boxes.length, 3);
});

test("nothing passes by a folded arrow only if nothing does by any of it", () => {
  const g = graphOf([{ name: "a/x", rules: [{ direction: "egress", protocol: "any", group: "b" }] },
    { name: "a/y", rules: [{ direction: "egress", protocol: "any", group: "b" }] },
    { name: "b", rules: [] }]);
  g.arrows[0]!.lacks = "nothing";
  assert.equal(fold(g, "project").arrows[0]?.lacks, undefined);
  g.arrows[1]!.lacks = "nothing";
  assert.equal(fold(g, "project").arrows[0]?.lacks, "nothing");
});
