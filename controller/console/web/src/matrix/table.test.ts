import assert from "node:assert/strict";
import { test } from "node:test";

import { parse } from "../diff/services";
import { cellKey, cellText, cellsOf, csv, hits, linesOf, named } from "./table";
import type { Cell, End } from "./table";
import { aligned, inSight, toShow } from "./window";

const ends: End[] = [
  { name: "web-10", kind: "group" }, { name: "web-2", kind: "group" },
  { name: "10.0.0.0/8", kind: "network", networks: ["10.0.0.0/8"] },
  { name: "192.0.2.0/24", kind: "network", networks: ["192.0.2.0/24"] },
  { name: "outside", kind: "network", networks: ["0.0.0.0/0", "::/0"] },
];
const cells: Cell[] = [
  { from: "outside", to: "web-2", services: ["tcp/80", "tcp/443 (IPv4)"] },
  { from: "10.0.0.0/8", to: "web-2", services: ["tcp/80", "tcp/443"] },
  { from: "192.0.2.0/24", to: "web-2", services: ["tcp/80", "tcp/443", "tcp/22"] },
  { from: "web-2", to: "web-10", services: [], of_some: ["icmp/8"] },
];

test("groups have a line by their names, networks where they differ from outside", () => {
  const { rows, columns } = linesOf(ends, cellsOf(cells));
  assert.deepEqual(rows.map((e) => e.name), ["web-2", "web-10", "outside", "192.0.2.0/24"]);
  assert.deepEqual(columns.map((e) => e.name), ["web-2", "web-10"]);
});

test("a cell says what passes, and what passes of some", () => {
  assert.equal(cellText(cells[0]), "tcp/80, tcp/443 (IPv4)");
  assert.equal(cellText(cells[3]), "icmp/8 of some");
  assert.equal(cellText(undefined), "");
  assert.ok(hits(cells[2], parse("tcp/22")!));
  assert.ok(!hits(cells[1], parse("tcp/22")!));
  assert.ok(hits(cells[3], parse("icmp")!));
  assert.ok(!hits(undefined, parse("any")!));
  assert.equal(cellsOf(cells).get(cellKey("web-2", "web-10")), cells[3]);
});

test("ends are found by a part of their names", () => {
  assert.deepEqual(named(ends, "WEB").map((e) => e.name), ["web-10", "web-2"]);
  assert.equal(named(ends, " ").length, ends.length);
});

test("a name is no formula, and no second line", () => {
  const text = csv([{ from: "=cmd()", to: 'a,"b', services: ["tcp/80"] }]);
  assert.equal(text, "from,to,services,of some\r\n'=cmd(),\"a,\"\"b\",tcp/80,\r\n");
});

test("what is in sight is a few of many, and all that is seen", () => {
  for (let at = 0; at < 90000; at += 777) {
    const part = inSight(at, 600, 30, 3000);
    assert.ok(part.end - part.first <= 29, "no more than are seen");
    assert.ok(part.first * 30 <= Math.max(0, at) && (part.end * 30 >= at + 600 || part.end === 3000));
    const whole = aligned(part, 16, 3000);
    assert.ok(whole.first <= part.first && whole.end >= part.end && whole.first % 16 === 0);
  }
  assert.deepEqual(inSight(0, 600, 30, 0), { first: 0, end: 0 });
  assert.equal(toShow(0, 600, 30, 100), 100 * 30 + 30 - 600);
  assert.equal(toShow(5000, 600, 30, 10), 300);
  assert.equal(toShow(300, 600, 30, 12), 300);
});
