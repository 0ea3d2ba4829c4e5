import assert from "node:assert/strict";
import test from "node:test";

import type { Rule } from "../api/types";
import { badCIDR, badPort, bareRule, doubtOf, mistakesOf, parseRule, portsText, ruleText } from
  "./rule";

test("a rule says the same words as the server, in whatever order its lists are", () => {
  const rules: [Rule, string][] = [
    [{ direction: "ingress", protocol: "tcp", ports: 80, cidr: "0.0.0.0/0" },
      "ingress tcp 80 from 0.0.0.0/0"],
    [{ direction: "egress", protocol: "tcp", ports: ["443", 80, "81-90"], cidr: "::/0",
      group: ["web", "db"] }, "egress tcp 80-90, 443 to ::/0, group db, group web"],
    [{ direction: "ingress", protocol: "icmp", icmp_type: 8, icmp_code: 0, cidr: "office" },
      "ingress icmp type 8 code 0 from network office"],
    [{ direction: "ingress", protocol: "any", group: "web" }, "ingress any from group web"],
    [{ direction: "ingress", protocol: "esp" }, "ingress esp from nobody"],
  ];
  for (const [rule, text] of rules) assert.equal(ruleText(rule), text);
});

test("words become the rule that says them", () => {
  for (const text of ["ingress tcp 80, 443 from 0.0.0.0/0", "egress udp 53 to group dns",
    "ingress icmp type 8 code 0 from 203.0.113.0/24", "ingress any from group web",
    "ingress tcp 22 from network office, group management"]) {
    const rule = parseRule(text);
    assert.equal(typeof rule, "object", text);
    const back = parseRule(ruleText(rule as Rule));
    assert.deepEqual(back, rule, text);
  }
});

test("words that say no rule are refused, with what would be right", () => {
  for (const [text, why] of [["tcp 80", /Write it as/], ["ingress tcp from 0.0.0.0/0", /^Enter ports/],
    ["ingress tcp 0 from ::/0", /1 to 65535/], ["ingress tcp 9-8 from ::/0", /ends before/],
    ["ingress tcp 80 from 10.0.0.0/33", /0 to 32/], ["ingress gre 80 from ::/0", /has no 80/],
    ["ingress icmp from 2001:db8::/32", /icmpv6/]] as const) {
    const rule = parseRule(text);
    assert.equal(typeof rule, "string", text);
    assert.match(rule as string, why);
  }
});

test("fields that are not of the protocol are not sent, nor what the server keeps", () => {
  assert.deepEqual(bareRule({ id: "x", direction: "ingress", protocol: "any", ports: [80],
    icmp_type: 8, cidr: [], group: "web", description: "" }),
  { direction: "ingress", protocol: "any", group: "web" });
});

test("ports that touch are one range; names of services stay", () => {
  assert.equal(portsText(["443", "1-10", "5-11", "12", "https"]), "1-12, 443, https");
  assert.equal(badPort("ssh"), "");
  assert.match(badPort("70000"), /65535/);
  assert.match(badPort("4;3"), /no port/);
});

test("networks are judged as far as that is possible without asking", () => {
  for (const good of ["0.0.0.0/0", "2001:db8::/32", "office"]) assert.equal(badCIDR(good), "");
  for (const bad of ["10.0.0.1", "10.0.0/8", "300.0.0.0/8", "::/129", "10.0.0.0/x"]) {
    assert.notEqual(badCIDR(bad), "", bad);
  }
});

test("a rule without ports or peers says which is missing", () => {
  const wrong = mistakesOf({ direction: "egress", protocol: "tcp" });
  assert.match(wrong.ports ?? "", /^Enter ports/);
  assert.match(wrong.peers ?? "", /destination/);
  assert.deepEqual(mistakesOf({ direction: "egress", protocol: "gre", group: "web" }), {});
});

test("what is open to everybody is asked about, and what is not is not", () => {
  const open = { direction: "ingress", protocol: "tcp", ports: "22", cidr: "0.0.0.0/0" } as const;
  assert.notEqual(doubtOf(open), "");
  assert.equal(doubtOf({ ...open, cidr: "10.0.0.0/8" }), "");
  assert.equal(doubtOf({ ...open, ports: "443" }), "");
  assert.equal(doubtOf({ ...open, direction: "egress" }), "");
  assert.match(doubtOf({ direction: "ingress", protocol: "icmp", icmp_type: 0, group: "w" }), /type 8/);
});
