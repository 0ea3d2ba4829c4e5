import assert from "node:assert/strict";
import test from "node:test";

import type { Packet } from "../api/types";
import { serviceOf, withPacket } from "./denied";
import type { Seen } from "./denied";
import { compare, counted, fits, inSight, settles, short, sorted } from "./list";
import { addressesOf, badAddress, badMAC, drawMAC, shortAddress } from "./port";
import { textDiff } from "./textdiff";
import { ageText, leftOf, lengthText, nextAge, secondsLeft } from "./time";

test("ages are told in the largest unit, and never as a time before the epoch", () => {
  const now = Date.parse("2026-01-01T12:00:00Z");
  for (const [at, text] of [["2026-01-01T11:59:59Z", "now"], ["2026-01-01T11:59:30Z", "30 s ago"],
    ["2026-01-01T11:00:00Z", "1 h ago"], ["2025-12-30T12:00:00Z", "2 d ago"],
    ["2026-01-01T12:05:00Z", "in 5 min"], ["0001-01-01T00:00:00Z", "never"], ["x", "never"]] as const) {
    assert.equal(ageText(at, now), text);
  }
  assert.equal(ageText(undefined, now), "never");
  assert.equal(lengthText(0.2), "0 s");
  assert.ok(nextAge("2026-01-01T11:59:30Z", now) <= 1000);
});

test("what is left of a trial is what the server has left, whatever the clock here says", () => {
  const trial = { at: "2026-01-01T12:00:00.400Z", until: "2026-01-01T12:01:00.400Z" };
  const left = (told: string) => leftOf(trial, Date.parse(told));
  assert.equal(left("2026-01-01T12:00:00Z"), 59_400);
  assert.equal(left("2026-01-01T11:59:56Z"), 60_000, "never more than was asked for");
  assert.equal(left("Thu, 01 Jan 2026 12:00:40 GMT"), 19_400, "a page that is opened in the middle");
  assert.equal(left("2026-01-01T12:02:00Z"), 0);
  assert.equal(left("none"), 60_000, "a server that does not tell the time");
  for (const [ms, seconds] of [[60_000, 60], [59_999, 60], [59_000, 59], [1, 1], [0, 0], [-5, 0]] as const) {
    assert.equal(secondsLeft(1_000_000 + ms, 1_000_000), seconds);
  }
  assert.equal(secondsLeft(undefined, 1_000_000), 0);
});

test("a filter takes all words in any order; names with numbers sort as people would", () => {
  assert.ok(fits("ingress tcp 22 from group ops", "OPS tcp"));
  assert.ok(!fits("ingress tcp 22", "tcp udp"));
  assert.ok(fits("anything", "  "));
  assert.deepEqual(sorted(["web-10", "web-9", "web-1"], (v) => v, false), ["web-1", "web-9", "web-10"]);
  assert.ok(compare(9, 10) < 0);
  assert.deepEqual(sorted([{ n: 1, k: "a" }, { n: 1, k: "b" }], (v) => v.n, true).map((v) => v.k),
    ["a", "b"], "equal ones stay in order");
});

test("of 50,000 rows only those in sight are drawn, at both ends, too", () => {
  for (const top of [0, 38 * 25_000, 38 * 50_000]) {
    const { first, last } = inSight(50_000, 38, top, 800);
    assert.ok(last - first <= 800 / 38 + 18 && first >= 0 && last <= 50_000 && last >= first);
  }
  assert.deepEqual(inSight(0, 38, 0, 800), { first: 0, last: 0 });
  assert.equal(counted(1, "member"), "1 member");
  assert.equal(counted(3000, "member"), "3,000 members");
  assert.deepEqual([0, 999, 1234, 56_789, 2e9].map(short), ["0", "999", "1.2k", "56k", "2.0G"]);
});

const packet = (p: Partial<Packet>): Packet => ({ time: "2026-01-01T00:00:00Z", verdict: "denied",
  port: "tap", instance: "db-1", direction: "ingress", protocol: "tcp", src: "10.0.0.1",
  dst: "10.0.0.2", dst_port: 22, ...p });

test("packets that are alike are one line, counted with those that were lost; lines are bounded", () => {
  let list: Seen[] = [];
  list = withPacket(list, packet({ src_port: 1 }));
  list = withPacket(list, packet({ dst_port: 80 }));
  list = withPacket(list, packet({ src_port: 2, not_shown: 3 }));
  assert.deepEqual(list.map((s) => [s.last.dst_port, s.count]), [[22, 5], [80, 1]]);
  for (let n = 0; n < 1000; n++) list = withPacket(list, packet({ dst_port: 1000 + n }));
  assert.equal(list.length, 400);
  assert.equal(serviceOf(packet({})), "tcp/22");
  assert.equal(serviceOf(packet({ protocol: "icmp", dst_port: undefined,
    icmp: { id: 1, type: 8, code: 0 } })), "icmp/8/0");
});

test("MACs and addresses", () => {
  assert.equal(badMAC("02:00:00:00:00:11"), "");
  assert.match(badMAC("03:00:00:00:00:11"), /odd/);
  assert.match(badMAC("x"), /such as/);
  assert.equal(badMAC(drawMAC()), "");
  for (const good of ["203.0.113.11", "2001:db8::11", "10.0.0.0/8"]) assert.equal(badAddress(good), "");
  for (const bad of ["web-1", "1.2.3", "1.2.3.256", "0.0.0.0/0"]) assert.notEqual(badAddress(bad), "");
});

test("a difference has the lines that differ, those around them, and makes one text of the other", () => {
  assert.deepEqual(textDiff("a\nb\nc", "a\nx\nc").map((l) => l.sign + l.text),
    [" a", "-b", "+x", " c"]);
  assert.deepEqual(textDiff("a", "a"), []);
  const letters = "abcd".split("");
  for (let n = 0; n < 200; n++) {
    const draw = () => Array.from({ length: 12 }, () => letters[Math.floor(Math.random() * 4)]);
    const [a, b] = [draw(), draw()];
    const lines = textDiff(a.join("\n"), b.join("\n"), 99);
    if (lines.length === 0) continue;
    assert.equal(lines.filter((l) => l.sign !== "+").map((l) => l.text).join(""), a.join(""));
    assert.equal(lines.filter((l) => l.sign !== "-").map((l) => l.text).join(""), b.join(""));
  }
});

test("an address alone is shown without its prefix, a network with it", () => {
  assert.deepEqual(["10.0.0.1/32", "2001:db8::1/128", "10.0.0.0/8", "::/0", "10.0.0.1"].map(shortAddress),
    ["10.0.0.1", "2001:db8::1", "10.0.0.0/8", "::/0", "10.0.0.1"]);
  assert.equal(addressesOf({ ports: [{ addresses: ["10.0.0.1/32"] }, {}] }), "10.0.0.1");
});

test("a name that begins another one can be typed on", () => {
  assert.ok(settles("web-1", ["web-1", "db-1"]));
  assert.ok(!settles("web", ["web", "web-1"]));
  assert.ok(!settles("we", ["web"]));
});
