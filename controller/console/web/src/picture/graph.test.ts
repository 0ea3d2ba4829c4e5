import assert from "node:assert/strict";
import { test } from "node:test";

import { ofRule, admits, ofWords, parse } from "../diff/services";
import { anything, example, tiers } from "./fixtures";
import { admitting, graphOf, judged, networkName, outside, peersOf, ruleText } from "./graph";
import type { Arrow, Graph } from "./graph";

const arrow = (g: Graph, from: string, to: string): Arrow | undefined =>
  g.arrows.find((a) => a.id === `${from}\n${to}`);

test("the example is three groups, three networks, and parallel rules are one arrow", () => {
  const g = graphOf(example);
  assert.deepEqual(g.boxes.map((b) => b.name), ["backend", "frontend", "management", outside,
    "198.51.100.0/24", "203.0.113.1"]);
  assert.equal(g.arrows.length, 8);
  assert.deepEqual(arrow(g, "g:frontend", "g:backend")?.services, ["tcp/3306"]);
  assert.deepEqual(arrow(g, "g:backend", "n:203.0.113.1")?.services, ["tcp/53", "udp/53"]);
  assert.deepEqual(arrow(g, "n:outside", "g:frontend")?.services, ["tcp/80"]);
  assert.deepEqual(arrow(g, "g:backend", "g:backend")?.services, ["tcp", "udp"]);
  assert.equal(arrow(g, "g:backend", "g:backend")?.said.length, 4);
  assert.equal(g.boxes[0]?.egress, "closed");
  assert.equal(g.boxes[1]?.egress, "open");
});

test("what one family alone has says so, where both matter", () => {
  const only4 = graphOf([{ name: "a", rules: [
    { direction: "ingress", protocol: "tcp", ports: "80-90", cidr: "0.0.0.0/0" },
    { direction: "ingress", protocol: "tcp", ports: 80, cidr: "::/0" },
    { direction: "ingress", protocol: "icmp", cidr: "0.0.0.0/0" }] }]);
  assert.deepEqual(only4.arrows[0]?.services, ["tcp/80", "icmp", "tcp/81-90 (IPv4)"]);
});

test("groups that nobody lists, and named networks, are boxes, too", () => {
  const g = graphOf([{ name: "a", rules: [
    { direction: "ingress", protocol: "any", group: ["a", "other/web"], cidr: "office" }] }]);
  assert.deepEqual(g.boxes.map((b) => [b.name, b.kind, b.members]),
    [["a", "group", undefined], ["other/web", "group", undefined], ["office", "network", undefined]]);
});

test("a group and a network of one name are two boxes", () => {
  const g = graphOf([{ name: "outside", rules: [
    { direction: "ingress", protocol: "any", cidr: "0.0.0.0/0" }] }]);
  assert.equal(g.boxes.length, 2);
});

test("networks are called as answers call them", () => {
  assert.equal(networkName("0.0.0.0/0"), "outside");
  assert.equal(networkName("::/0"), "outside");
  assert.equal(networkName("10.0.0.1/32"), "10.0.0.1");
  assert.equal(networkName("2001:db8::1/128"), "2001:db8::1");
  assert.equal(networkName("2001:db8::/32"), "2001:db8::/32");
});

test("every rule is in an arrow of each of its peers, and nothing else is", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const groups = anything(12, 60, seed);
    const g = graphOf(groups);
    assert.equal(new Set(g.arrows.map((a) => a.id)).size, g.arrows.length, "an arrow is there once");
    let said = 0;
    for (const group of groups) {
      for (const rule of group.rules ?? []) {
        for (const peer of peersOf(rule)) {
          said++;
          const [from, to] = rule.direction === "egress" ? [`g:${group.name}`, peer.id]
            : [peer.id, `g:${group.name}`];
          const a = arrow(g, from, to);
          assert.ok(a?.said.some((s) => s.group === group.name && s.text === ruleText(rule)));
        }
      }
    }
    assert.equal(g.arrows.reduce((n, a) => n + a.said.length, 0), said);
    const ids = new Set(g.boxes.map((b) => b.id));
    for (const a of g.arrows) assert.ok(ids.has(a.from) && ids.has(a.to));
  }
});

test("who can ssh anywhere: the arrows that admit it, and their ends", () => {
  const g = graphOf(example);
  const ssh = parse("tcp/22")!;
  const some = admitting(g, (a) => admits(ofWords(a.services), ssh));
  assert.deepEqual(some.arrows.map((a) => a.id).sort(), ["g:backend\ng:backend",
    "g:management\ng:backend", "g:management\ng:frontend", "n:198.51.100.0/24\ng:management"]);
  assert.ok(!some.boxes.some((b) => b.name === outside));
});

test("what nothing passes by is told only if none of its rules lets anything pass", () => {
  const g = graphOf([{ name: "a", rules: [{ direction: "egress", protocol: "any", group: "b" }] },
    { name: "b", rules: [] }]);
  const why = "no ingress rule of b admits it";
  const line = { from: "a", to: "b", direction: "egress" };
  assert.equal(judged(g, [{ ...line, lacks: why }]).arrows[0]?.lacks, why);
  assert.equal(judged(g, [{ ...line }]).arrows[0]?.lacks, undefined);
  assert.equal(judged(g, [{ ...line, lacks: why }, { ...line, direction: "ingress" }])
    .arrows[0]?.lacks, undefined);
  assert.equal(judged(g, []).arrows[0]?.lacks, undefined, "it is not known");
});

test("three thousand groups are a graph in time", () => {
  const began = process.cpuUsage();
  const g = graphOf(tiers(3000, 1));
  assert.ok(g.arrows.length > 3000);
  const used = process.cpuUsage(began).user / 1e6; // seconds; how busy the machine is does not count
  assert.ok(used < 5, `it is no square of the groups: ${used}`);
  assert.ok(ofRule({ direction: "ingress", protocol: "any" }).rest);
});
