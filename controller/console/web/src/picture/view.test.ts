import assert from "node:assert/strict";
import { test } from "node:test";

import { anything, example, tiers } from "./fixtures";
import { graphOf } from "./graph";
import { mostBoxes } from "./neighbourhood";
import { address, asked, foldedEnough, partOf, read } from "./view";
import type { Shown } from "./view";

const all: Shown = { around: "", steps: 1, fold: "none", open: [], service: "", draft: false };

test("what is shown is an address, and read back from it", () => {
  assert.equal(address(all), "/picture");
  for (const s of [all, { ...all, around: "g:acme/web & <b>", steps: 2 as const },
    { ...all, around: "n:10.0.0.0/8", fold: "prefix" as const, open: ["a", "b/"] },
    { ...all, service: "ssh, tcp/80", draft: true }]) {
    assert.deepEqual(read(address(s).slice("/picture".length)), s);
  }
  assert.equal(read("?group=web").around, "g:web");
  assert.deepEqual(read("?steps=9&fold=x&draft=1"), all, "what is no value is none");
});

test("a small policy is drawn as a whole, a large one in parts, and never more than a picture holds",
  () => {
    assert.equal(partOf(graphOf(example), all).graph.boxes.length, 6);
    const large = graphOf(tiers(3000, 1));
    assert.ok(partOf(large, all).tooMany > 3000);
    assert.equal(foldedEnough(large), "project");
    assert.equal(foldedEnough(graphOf(anything(200, 10, 1).map((g, n) => ({ ...g, name: `x${n}y` })))),
      undefined);
    for (const s of [{ ...all, around: "g:management" }, { ...all, fold: "project" as const }]) {
      const p = partOf(large, s);
      assert.ok(p.graph.boxes.length > 1 && p.graph.boxes.length <= mostBoxes);
    }
  });

test("a service leaves what admits it", () => {
  const ssh = partOf(graphOf(example), { ...all, service: "ssh" }).graph;
  assert.ok(ssh.arrows.length === 4 && !ssh.boxes.some((b) => b.name === "outside"));
  assert.equal(partOf(graphOf(example), { ...all, service: "no such" }).graph.arrows.length, 8,
    "what cannot be read leaves all, and the page says so");
  assert.equal(asked("no such"), null);
  assert.equal(asked("  "), undefined);
});
