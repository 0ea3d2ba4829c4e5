// Rules as words and as values. Pages show and read rules by it, and drafts compare them. The words
// are those of `portcullis explain` (flows/policy, Rule.String). No DOM.

import type { Rule, Some } from "../api/types";

/** Who is at the other end. */
export interface Peer {
  kind: "cidr" | "network" | "group";
  name: string;
}

export const listOf = <T>(v: Some<T> | undefined): T[] =>
  v === undefined ? [] : Array.isArray(v) ? v : [v];

/** One value stands for itself, none is left out. */
export const someOf = <T>(list: T[]): Some<T> | undefined =>
  list.length === 0 ? undefined : list.length === 1 ? list[0] : list;

const isCIDR = (word: string) => word.includes("/") && /^[0-9a-fA-F.:]+\/\d+$/.test(word);

export function peersOf(r: Rule): Peer[] {
  const nets = listOf(r.cidr).map((name): Peer => ({ kind: isCIDR(name) ? "cidr" : "network",
    name }));
  return [...nets, ...listOf(r.group).map((name): Peer => ({ kind: "group", name }))];
}

export const hasPorts = (protocol: string | number) =>
  ["tcp", "udp", "sctp", "6", "17", "132"].includes(String(protocol).toLowerCase());

export const hasTypes = (protocol: string | number) =>
  ["icmp", "icmpv6", "ipv6-icmp", "1", "58"].includes(String(protocol).toLowerCase());

function portKey(word: string): [number, number, string] {
  const m = /^(\d+)(?:-(\d+))?$/.exec(word);
  return m ? [Number(m[1]), Number(m[2] ?? m[1]), ""] : [1e9, 1e9, word];
}

/** Ports in order, those that touch as one: "80, 443, 8000-8100". */
export function portsText(ports: Some<string | number> | undefined): string {
  const list = listOf(ports).map((p) => portKey(String(p)))
    .sort((a, b) => a[0] - b[0] || a[2].localeCompare(b[2]));
  const out: [number, number, string][] = [];
  for (const p of list) {
    const last = out[out.length - 1];
    if (last && !last[2] && !p[2] && p[0] <= last[1] + 1) last[1] = Math.max(last[1], p[1]);
    else out.push([...p]);
  }
  return out.map(([a, b, name]) => name || (a === b ? `${a}` : `${a}-${b}`)).join(", ");
}

const unset = (v: unknown) => v === undefined || v === null || v === -1 || v === "";

/** "tcp 80, 443", "icmp type 8 code 0", "any". */
export function serviceText(r: Rule): string {
  let out = String(r.protocol);
  if (hasPorts(r.protocol)) out += " " + portsText(r.ports);
  if (hasTypes(r.protocol) && !unset(r.icmp_type)) {
    out += ` type ${r.icmp_type}`;
    if (!unset(r.icmp_code)) out += ` code ${r.icmp_code}`;
  }
  return out;
}

const rank = { cidr: 0, network: 2, group: 1 };

export function peerText(r: Rule): string {
  const list = peersOf(r).sort((a, b) => rank[a.kind] - rank[b.kind] ||
    (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return list.map((p) => p.kind === "cidr" ? p.name : `${p.kind} ${p.name}`).join(", ") || "nobody";
}

/** "ingress tcp 80 from 0.0.0.0/0": the same words for the same permission. */
export const ruleText = (r: Rule): string =>
  `${r.direction} ${serviceText(r)} ${r.direction === "egress" ? "to" : "from"} ${peerText(r)}`;

/** What makes two rules one: the permission, and what people are told of it. */
export const ruleKey = (r: Rule): string => ruleText(r) + "\n" + (r.description ?? "");

/** A rule without what the server keeps of it. */
export function bareRule(r: Rule): Rule {
  const { direction, protocol, ports, icmp_type, icmp_code, cidr, group, description } = r;
  const out: Rule = { direction, protocol };
  if (hasPorts(protocol) && ports !== undefined) out.ports = ports;
  if (hasTypes(protocol) && !unset(icmp_type)) {
    out.icmp_type = icmp_type;
    if (!unset(icmp_code)) out.icmp_code = icmp_code;
  }
  if (listOf(cidr).length) out.cidr = cidr;
  if (listOf(group).length) out.group = group;
  if (description) out.description = description;
  return out;
}

/** What is wrong with a word of a port; "" = nothing. Names of services are the server's to judge. */
export function badPort(word: string): string {
  const m = /^(\d+)(?:-(\d+))?$/.exec(word);
  if (!m) {
    return /^[a-z][a-z0-9-]*$/i.test(word) ? "" : `${word} is no port: want 443, 8000-8100 or https`;
  }
  const [first, last] = [Number(m[1]), Number(m[2] ?? m[1])];
  if (first < 1 || last > 65535) return `${word}: ports are 1 to 65535`;
  return first > last ? `${word}: the range ends before it begins` : "";
}

/** What is wrong with a network; "" = nothing that can be seen without asking. */
export function badCIDR(word: string): string {
  const [address = "", bits] = word.split("/");
  const v6 = address.includes(":");
  if (!/^[0-9a-fA-F.:]+$/.test(address)) return "";  // a named network
  if (bits === undefined) return `${word}: want a network such as ${word}/${v6 ? 128 : 32}`;
  const most = v6 ? 128 : 32;
  if (!/^\d{1,3}$/.test(bits) || Number(bits) > most) return `${word}: the prefix is 0 to ${most}`;
  const parts = address.split(".");
  if (!v6 && (parts.length !== 4 || parts.some((p) => !/^\d{1,3}$/.test(p) || Number(p) > 255))) {
    return `${word}: an IPv4 network has four numbers up to 255`;
  }
  return "";
}

export const words = (text: string): string[] => text.split(/[,\s]+/).filter(Boolean);

/** What a rule lacks, by field; {} = it may be sent. */
export function mistakesOf(r: Rule): Partial<Record<"ports" | "peers" | "protocol" | "icmp", string>> {
  const out: ReturnType<typeof mistakesOf> = {};
  if (String(r.protocol).trim() === "") out.protocol = "Enter a protocol, such as tcp.";
  if (hasPorts(r.protocol)) {
    const ports = listOf(r.ports).map(String);
    const bad = ports.map(badPort).find(Boolean);
    if (ports.length === 0) out.ports = "Enter ports, such as 443 or 8000-8100.";
    else if (bad) out.ports = bad;
  }
  const cidrs = listOf(r.cidr);
  if (cidrs.length + listOf(r.group).length === 0) {
    out.peers = r.direction === "ingress" ? "Enter a source: a group or a network."
      : "Enter a destination: a group or a network.";
  }
  const bad = cidrs.map(badCIDR).find(Boolean);
  if (bad) out.peers = bad;
  const p = String(r.protocol).toLowerCase();
  if (!bad && p === "icmp" && cidrs.some((c) => c.includes(":"))) {
    out.peers = "icmp is of IPv4; for an IPv6 network it is icmpv6.";
  }
  if (!bad && p === "icmpv6" && cidrs.some((c) => c.includes("."))) {
    out.peers = "icmpv6 is of IPv6; for an IPv4 network it is icmp.";
  }
  return out;
}

/** Reads "ingress tcp 80, 443 from 0.0.0.0/0, group web", or says what it cannot read. */
export function parseRule(text: string): Rule | string {
  const m = /^\s*(ingress|egress|in|out)\s+(\S+)\s*(.*?)\s+(?:from|to)\s+(.+?)\s*$/i.exec(text);
  if (!m) return "Write it as: ingress tcp 443 from 0.0.0.0/0";
  const [, way = "", protocol = "", service = "", ends = ""] = m;
  const r: Rule = { direction: /^(in|ingress)$/i.test(way) ? "ingress" : "egress",
    protocol: protocol.toLowerCase() };
  if (hasPorts(r.protocol)) r.ports = someOf<string | number>(words(service));
  const icmp = /^type (\S+)(?: code (\d+))?$/.exec(service);
  if (icmp && hasTypes(r.protocol)) {
    r.icmp_type = /^\d+$/.test(icmp[1] ?? "") ? Number(icmp[1]) : icmp[1];
    if (icmp[2]) r.icmp_code = Number(icmp[2]);
  } else if (service !== "" && !hasPorts(r.protocol)) {
    return `${protocol} has no ${service}`;
  }
  const peers = ends.split(/\s*,\s*/).filter(Boolean);
  r.group = someOf(peers.filter((p) => /^group /.test(p)).map((p) => p.slice(6)));
  r.cidr = someOf(peers.filter((p) => !/^group /.test(p)).map((p) => p.replace(/^network /, "")));
  const wrong = Object.values(mistakesOf(r))[0];
  return wrong ?? bareRule(r);
}

/** What is open to everybody, and mostly should not be: told beside the rule, as a question. */
export function doubtOf(r: Rule): string {
  const open = listOf(r.cidr).some((c) => c === "0.0.0.0/0" || c === "::/0");
  const ports = listOf(r.ports).map(String);
  if (r.direction === "ingress" && open && (String(r.protocol) === "any" ||
    ports.some((p) => ["22", "ssh", "3389", "3306", "5432", "1-65535"].includes(p)))) {
    return "Open to everyone: is this intended?";
  }
  if (String(r.protocol).toLowerCase() === "icmp" && r.icmp_type === 0 && !r.icmp_code) {
    return "Type 0 is only the reply of a ping; the request is type 8.";
  }
  return "";
}
