// Policies for tests: the example, and random ones of any size that the same seed makes again.

import type { Group, Rule } from "../api/types";

/** dice is a sequence of numbers from 0 up to but without 1 that its seed decides. */
export function dice(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const all = ["0.0.0.0/0", "::/0"];

/** example is the policy of docs/examples. */
export const example: Group[] = [
  { name: "frontend", members: 2, rules: [
    { direction: "ingress", protocol: "tcp", ports: 80, cidr: "0.0.0.0/0" },
    { direction: "ingress", protocol: "tcp", ports: 80, cidr: "::/0" },
    { direction: "ingress", protocol: "tcp", ports: 22, group: "management" }] },
  { name: "backend", members: 2, rules: [
    { direction: "ingress", protocol: "tcp", ports: 3306, group: "frontend" },
    { direction: "ingress", protocol: "tcp", ports: 22, group: "management" },
    { direction: "ingress", protocol: "tcp", ports: "1-65535", group: "backend" },
    { direction: "ingress", protocol: "udp", ports: "1-65535", group: "backend" },
    { direction: "egress", protocol: "tcp", ports: "1-65535", group: "backend" },
    { direction: "egress", protocol: "udp", ports: "1-65535", group: "backend" },
    { direction: "egress", protocol: "tcp", ports: 53, cidr: "203.0.113.1/32" },
    { direction: "egress", protocol: "udp", ports: 53, cidr: "203.0.113.1/32" },
    { direction: "egress", protocol: "tcp", ports: [80, 443], cidr: all }] },
  { name: "management", members: 1, rules: [
    { direction: "ingress", protocol: "tcp", ports: 22, cidr: "198.51.100.0/24" }] },
];

/** tiers is a policy as companies have it: tiers that speak with the next one, and management. */
export function tiers(groups: number, seed: number): Group[] {
  const roll = dice(seed);
  const name = (n: number): string =>
    `${["shop", "blog", "crm"][n % 3]}/${["web", "app", "db"][Math.floor(n / 3) % 3]}-${n}`;
  const pick = (tier: number): string => {
    const at = Math.floor(roll() * groups / 9) * 9 + tier * 3;
    return name(Math.min(at + Math.floor(roll() * 3), groups - 1));
  };
  const out: Group[] = [{ name: "management", members: 2, rules: [
    { direction: "ingress", protocol: "tcp", ports: 22, cidr: "198.51.100.0/24" }] }];
  for (let n = 0; n < groups - 1; n++) {
    const tier = Math.floor(n / 3) % 3;
    const rules: Rule[] = [{ direction: "ingress", protocol: "tcp", ports: 22, group: "management" }];
    if (tier === 0) rules.push({ direction: "ingress", protocol: "tcp", ports: 443, cidr: all });
    else rules.push({ direction: "ingress", protocol: "tcp", ports: tier === 1 ? 8080 : 5432,
      group: [...new Set([pick(tier - 1), pick(tier - 1)])] });
    if (roll() < 0.3) rules.push({ direction: "egress", protocol: "tcp", ports: 443, cidr: all });
    out.push({ name: name(n), members: Math.floor(roll() * 20), rules });
  }
  return out;
}

const protocols = ["tcp", "udp", "icmp", "icmpv6", "esp", "any", "sctp", 47];

/** anything is a policy in which everything may be, also names that are markup. */
export function anything(groups: number, rules: number, seed: number): Group[] {
  const roll = dice(seed);
  const one = <T>(list: readonly T[]): T => list[Math.floor(roll() * list.length)]!;
  const nasty = ["<script>alert(1)</script>", "a\" onload=\"b", "数据库-サーバー", "]]>&amp;",
    "x".repeat(200), "-", "acme/<b>"];
  const names = Array.from({ length: groups }, (_, n) => roll() < 0.1 ? `${one(nasty)}${n}`
    : `${one(["acme/", "", "umbrella/"])}g-${n}`);
  const out: Group[] = names.map((name) => ({ name, members: Math.floor(roll() * 5), rules: [] }));
  for (let n = 0; n < rules && groups > 0; n++) {
    const rule: Rule = { direction: one(["ingress", "egress"] as const), protocol: one(protocols) };
    if (["tcp", "udp", "sctp"].includes(String(rule.protocol))) {
      const first = Math.floor(roll() * 200);
      rule.ports = one([first, `${first}-${first + Math.floor(roll() * 100)}`, "1-65535",
        [first, 300]]);
    }
    if (String(rule.protocol).startsWith("icmp") && roll() < 0.5) rule.icmp_type = 8;
    if (roll() < 0.6) rule.group = one([names, [...names, "other/shared"]].map((l) => one(l)));
    else rule.cidr = one([all, "0.0.0.0/0", "10.0.0.0/8", "203.0.113.1/32", "2001:db8::/32"]);
    one(out).rules!.push(rule);
  }
  return out;
}
