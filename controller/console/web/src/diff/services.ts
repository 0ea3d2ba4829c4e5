// Sets of services: what rules admit, as numbers, so that they can be added, taken away and told in
// the words of the command line ("tcp/80", "any but tcp/22"). Pure; graph.ts and diff.ts call it.

import type { Rule } from "../api/types";

/** A span of ports, or of ICMP types and codes (type * 256 + code), both ends included. */
export type Span = readonly [first: number, last: number];

/**
 * Services are what may pass. `of` has the spans of each protocol, in order and apart; `rest` = all
 * protocols that `of` does not name pass as well.
 */
export interface Services {
  readonly rest: boolean;
  readonly of: ReadonlyMap<string, readonly Span[]>;
}

const full: Span = [0, 65535];

export const none: Services = { rest: false, of: new Map() };
export const everything: Services = { rest: true, of: new Map() };

const numbers: Record<string, string> = { 1: "icmp", 6: "tcp", 17: "udp", 47: "gre", 50: "esp",
  51: "ah", 58: "icmpv6", 132: "sctp" };
const ported = new Set(["tcp", "udp", "sctp"]);
const typed = new Set(["icmp", "icmpv6"]);

/** protocolOf is the one name of a protocol, however a rule writes it. */
export function protocolOf(protocol: string | number): string {
  const word = String(protocol).toLowerCase();
  if (word === "ipv6-icmp") return "icmpv6";
  return numbers[word] ?? (/^\d+$/.test(word) ? `protocol/${word}` : word);
}

const list = <T>(some: T | T[] | undefined): T[] =>
  some === undefined ? [] : Array.isArray(some) ? some : [some];

/** ofRule is what a rule admits; ports that cannot be read admit nothing. */
export function ofRule(rule: Rule): Services {
  const protocol = protocolOf(rule.protocol);
  if (protocol === "any") return everything;
  if (ported.has(protocol)) {
    const ports = list(rule.ports).flatMap((p) => String(p).split(","));
    return of(protocol, joined(ports.flatMap(spanOf)));
  }
  const type = Number(rule.icmp_type ?? -1);
  if (typed.has(protocol) && type >= 0) {
    const code = rule.icmp_code ?? -1;
    return of(protocol, [code < 0 ? [type * 256, type * 256 + 255]
      : [type * 256 + code, type * 256 + code]]);
  }
  return of(protocol, [full]);
}

/** spanOf reads "80" or "80-443"; all ports from 1 on are all ports. */
function spanOf(text: string): Span[] {
  const m = /^\s*(\d+)(?:\s*-\s*(\d+))?\s*$/.exec(text);
  if (m === null) return [];
  const first = Number(m[1]);
  const last = m[2] === undefined ? first : Number(m[2]);
  if (first > last || last > 65535) return [];
  return [first <= 1 && last === 65535 ? full : [first, last]];
}

/** of is a set of one protocol. */
export function of(protocol: string, spans: readonly Span[]): Services {
  return { rest: false, of: spans.length ? new Map([[protocol, spans]]) : new Map() };
}

/** joined puts spans in order and makes those one that touch. */
function joined(spans: readonly Span[]): Span[] {
  const out: [number, number][] = [];
  for (const [first, last] of [...spans].sort((a, b) => a[0] - b[0])) {
    const before = out[out.length - 1];
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else out.push([first, last]);
  }
  return out;
}

/** without takes spans away from others. */
function without(from: readonly Span[], gone: readonly Span[]): Span[] {
  let left = [...from];
  for (const [first, last] of gone) {
    left = left.flatMap(([a, b]) => {
      if (last < a || first > b) return [[a, b] as Span];
      const out: Span[] = [];
      if (a < first) out.push([a, first - 1]);
      if (b > last) out.push([last + 1, b]);
      return out;
    });
  }
  return left;
}

const spansOf = (s: Services, protocol: string): readonly Span[] =>
  s.of.get(protocol) ?? (s.rest ? [full] : []);

/** each makes a set of two, protocol by protocol. */
function each(a: Services, b: Services, rest: boolean,
  make: (a: readonly Span[], b: readonly Span[]) => Span[]): Services {
  const out = new Map<string, readonly Span[]>();
  for (const protocol of new Set([...a.of.keys(), ...b.of.keys()])) {
    const spans = make(spansOf(a, protocol), spansOf(b, protocol));
    const same = rest ? spans.length === 1 && isFull(spans) : spans.length === 0;
    if (!same) out.set(protocol, spans);
  }
  return { rest, of: out };
}

const isFull = (spans: readonly Span[]): boolean =>
  spans.length === 1 && spans[0]![0] === 0 && spans[0]![1] === 65535;

export const union = (a: Services, b: Services): Services =>
  each(a, b, a.rest || b.rest, (x, y) => joined([...x, ...y]));

export const minus = (a: Services, b: Services): Services =>
  each(a, b, a.rest && !b.rest, (x, y) => without(x, y));

export const meet = (a: Services, b: Services): Services => minus(a, minus(a, b));

export const isNone = (s: Services): boolean => !s.rest && s.of.size === 0;

/** words tells a set as the command line does, protocols in the order of their names. */
export function words(s: Services): string[] {
  if (!s.rest) return wordsOf(s.of);
  const but = new Map([...s.of].map(([p, spans]) => [p, without([full], spans)] as const));
  const gone = wordsOf(new Map([...but].filter(([, spans]) => spans.length > 0)));
  return gone.length === 0 ? ["any"] : [`any but ${gone[0]!}`, ...gone.slice(1)];
}

function wordsOf(map: ReadonlyMap<string, readonly Span[]>): string[] {
  return [...map].sort(([a], [b]) => order(a) - order(b) || (a < b ? -1 : 1))
    .flatMap(([protocol, spans]) => spans.map((s) => wordOf(protocol, s)));
}

const order = (protocol: string): number =>
  ["tcp", "udp", "sctp", "icmp", "icmpv6"].indexOf(protocol) + 1 || 9;

function wordOf(protocol: string, [first, last]: Span): string {
  if (first === 0 && last === 65535) return protocol;
  if (typed.has(protocol)) {
    const type = Math.floor(first / 256);
    if (first === last) return `${protocol}/${type}/${first % 256}`;
    const upTo = Math.floor(last / 256);
    return upTo === type ? `${protocol}/${type}` : `${protocol}/${type}-${upTo}`;
  }
  return first === last ? `${protocol}/${first}` : `${protocol}/${first}-${last}`;
}

/** parse reads a word of an answer or of a person; undefined = it is none. */
export function parse(word: string): Services | undefined {
  const text = word.trim().toLowerCase().replace(/ \(ipv[46]\)$/, "");
  if (text === "any") return everything;
  const m = /^(protocol\/\d+|[a-z][a-z0-9-]*)(?:\/(\d+)(?:-(\d+))?(?:\/(\d+))?)?$/.exec(text);
  if (m === null) return undefined;
  const protocol = protocolOf(m[1]!.replace(/^protocol\//, ""));
  if (m[2] === undefined) return known(protocol) ? of(protocol, [full]) : undefined;
  const [first, last] = [Number(m[2]), Number(m[3] ?? m[2])];
  if (first > last || last > 65535) return undefined;
  if (ported.has(protocol)) return of(protocol, [[first, last]]);
  if (!typed.has(protocol) || last > 255) return undefined;
  if (m[4] === undefined) return of(protocol, [[first * 256, last * 256 + 255]]);
  const at = first * 256 + Number(m[4]);
  return of(protocol, [[at, at]]);
}

const known = (protocol: string): boolean => ported.has(protocol) || typed.has(protocol) ||
  ["gre", "esp", "ah", "ipip", "igmp", "ospf", "vrrp"].includes(protocol) ||
  protocol.startsWith("protocol/");

/** parseAll reads what people write: names and words, with commas or spaces between them. */
export function parseAll(text: string, names: Readonly<Record<string, readonly string[]>>):
  Services | undefined {
  const all = text.toLowerCase().split(/[\s,]+/).filter((w) => w !== "");
  if (all.length === 0) return undefined;
  let out = none;
  for (const word of all.flatMap((w) => names[w] ?? [w])) {
    const one = parse(word);
    if (one === undefined) return undefined;
    out = union(out, one);
  }
  return out;
}

/** ofWords reads the words of an answer: what words() wrote, or the server. */
export function ofWords(all: readonly string[]): Services {
  const but = all.findIndex((w) => w.startsWith("any but "));
  const read = (part: readonly string[]): Services =>
    part.reduce((sum, w) => union(sum, parse(w.replace(/^any but /, "")) ?? none), none);
  return but < 0 ? read(all) : union(read(all.slice(0, but)), minus(everything,
    read(all.slice(but))));
}

/** admits says whether any of some services is among others. */
export const admits = (have: Services, asked: Services): boolean => !isNone(meet(have, asked));
