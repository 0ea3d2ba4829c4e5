// Views, and where keys lead.
import assert from "node:assert/strict";
import { test } from "node:test";

import { draw, planOf } from "./drawing";
import { dice, example } from "./fixtures";
import { graphOf } from "./graph";
import { layOut } from "./layout";
import { fit, leastScale, mostScale, pan, reveal, zoom } from "./viewport";
import { step } from "./walk";
import type { Stop } from "./walk";

test("a fitted drawing is all in sight, in the middle, and never larger than it is", () => {
  const v = fit({ width: 1000, height: 500 }, { width: 500, height: 500 });
  assert.equal(v.scale, 0.5);
  assert.equal(v.y, -250);
  assert.equal(fit({ width: 100, height: 100 }, { width: 900, height: 900 }).scale, 1);
  assert.equal(fit({ width: 9000, height: 100 }, { width: 300, height: 300 }, 0.6).scale, 0.6);
});

test("zooming keeps what is below the pointer, panning keeps something in sight", () => {
  for (let seed = 1; seed < 100; seed++) {
    const roll = dice(seed);
    const v = { x: roll() * 100, y: roll() * 100, scale: 0.2 + roll() * 2 };
    const [x, y] = [roll() * 500, roll() * 500];
    const next = zoom(v, roll() * 3, x, y);
    assert.ok(Math.abs(v.x + x / v.scale - next.x - x / next.scale) < 1e-6);
    assert.ok(next.scale >= leastScale && next.scale <= mostScale);
    const moved = pan(v, roll() * 9999 - 5000, roll() * 9999 - 5000, { width: 800, height: 600 },
      { width: 500, height: 500 });
    assert.ok((800 - moved.x) * v.scale >= 59.9 && moved.x * v.scale <= 800 * v.scale - 59.9);
  }
});

test("what is gone to is brought into sight, and what is there does not move", () => {
  const v = { x: 0, y: 0, scale: 1 }, room = { width: 400, height: 400 };
  assert.deepEqual(reveal(v, { x: 100, y: 100, width: 50, height: 50 }, room), v);
  const moved = reveal(v, { x: 700, y: 100, width: 50, height: 50 }, room);
  assert.ok(moved.x > 0 && 750 <= moved.x + 400 && moved.y === 0);
});

test("arrow keys reach every box and every arrow", () => {
  const g = graphOf(example);
  const d = draw(g, layOut(planOf(g)));
  const start: Stop = { kind: "box", id: d.boxes[0]!.key };
  const seen = new Set([`${start.kind} ${start.id}`]);
  const todo: { at: Stop; anchor: string | undefined }[] = [{ at: start, anchor: undefined }];
  while (todo.length > 0) {
    const { at, anchor } = todo.pop()!;
    for (const way of ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"] as const) {
      const next = step(d, at, way, anchor);
      const key = `${next.kind} ${next.id}`;
      if (seen.has(key)) continue;
      seen.add(key);
      todo.push({ at: next, anchor: at.kind === "box"
        ? d.boxes.find((b) => b.key === at.id)!.id : anchor });
    }
  }
  for (const b of d.boxes) assert.ok(seen.has(`box ${b.key}`), b.name);
  for (const a of d.arrows.filter((a) => a.arrow.from !== a.arrow.to)) {
    assert.ok(seen.has(`arrow ${a.id}`), a.name);
  }
});

test("an arrow to a network leads to where it stands as a destination", () => {
  const d = draw(graphOf(example), layOut(planOf(graphOf(example))));
  const at: Stop = { kind: "arrow", id: "g:backend\nn:outside" };
  assert.equal(step(d, at, "ArrowRight", undefined).id, "n:outside\ndestination");
  const from: Stop = { kind: "arrow", id: "n:outside\ng:frontend" };
  assert.equal(step(d, from, "ArrowLeft", undefined).id, "n:outside\nsource");
});

test("a key from what is gone leads nowhere", () => {
  const d = draw(graphOf([]), layOut(planOf(graphOf([]))));
  assert.deepEqual(step(d, { kind: "box", id: "x" }, "ArrowUp", undefined),
    { kind: "box", id: "x" });
});
