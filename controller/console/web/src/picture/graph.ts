// A policy as boxes and arrows: groups and the networks that rules name, and what rules say between
// two of them. Pure; the page of the picture, the matrix and the diff call it.
//
// Words and meaning are those of `portcullis matrix`: connections are opened along an arrow; rules
// with direction ingress are of the group that it leads to, those with egress of the one that it
// comes from. An arrow is no promise that anything passes: `lacks` says where nothing does.

import type { Group, Rule } from "../api/types";
import { meet, minus, none, ofRule, parse, union, words } from "../diff/services";
import type { Services } from "../diff/services";
import { ruleText } from "../model/rule";

/** The name of the network that is every address which is no instance's. */
export const outside = "outside";

/** What becomes of something by a change. */
export type State = "stays" | "gained" | "lost" | "changed";

/** fold = several groups as one. */
export type Kind = "group" | "network" | "fold";

export interface Box {
  id: string;
  name: string;
  kind: Kind;
  /** members are instances; undefined = it is not known, as of groups of others. */
  members?: number;
  /** rules are how many the group has. */
  rules: number;
  /** egress of the group alone: closed by its first egress rule. */
  egress?: "open" | "closed";
  /** holds are the groups of a fold. */
  holds?: string[];
  state: State;
}

/** A rule of an arrow, or what a change makes of access along it. */
export interface Said {
  /** group is whose rule it is. */
  group: string;
  direction: "ingress" | "egress";
  words: string[];
  /** rule in words, as answers and counters have it; "" = it is no rule's. */
  text: string;
  id?: string;
  description?: string;
  /** reason is told where no rule says it: "egress was open, and is closed by …". */
  reason?: string;
  state: State;
}

export interface Arrow {
  id: string;
  from: string; // of a Box
  to: string;
  said: Said[];
  /** services are those that the rules of the arrow name, in words. */
  services: string[];
  state: State;
  /** lacks says why nothing passes; undefined = something does, or it is not known. */
  lacks?: string;
}

export interface Graph {
  boxes: Box[];
  arrows: Arrow[];
}

export const groupID = (name: string): string => "g:" + name;
export const networkID = (name: string): string => "n:" + name;

/** An end that a rule names, and which families its services have there: bit 1 IPv4, bit 2 IPv6. */
export interface Peer {
  id: string;
  name: string;
  kind: "group" | "network";
  families: number;
}

const list = <T>(some: T | T[] | undefined): T[] =>
  some === undefined ? [] : Array.isArray(some) ? some : [some];

/** peersOf are the ends that a rule names. */
export function peersOf(rule: Rule): Peer[] {
  const out = new Map<string, Peer>();
  for (const text of list(rule.cidr)) {
    const name = networkName(text);
    const families = !/[/]/.test(text) ? 3 : text.includes(":") ? 2 : 1;
    const id = networkID(name);
    out.set(id, { id, name, kind: "network", families: families | (out.get(id)?.families ?? 0) });
  }
  for (const name of list(rule.group)) {
    out.set(groupID(name), { id: groupID(name), name, kind: "group", families: 3 });
  }
  return [...out.values()];
}

export { ruleText };

/** networkName is how answers call a network: all of a family is outside, one address is itself. */
export function networkName(cidr: string): string {
  if (/^(0\.0\.0\.0|::)\/0$/.test(cidr)) return outside;
  return cidr.replace(/^([^:]*)\/32$/, "$1").replace(/^(.*:.*)\/128$/, "$1");
}

/** What an arrow's services are until they are words: of each family. */
interface Sum {
  arrow: Arrow;
  v4: Services;
  v6: Services;
}

/** graphOf is the graph of some groups. Those that rules name and nobody lists are there, too. */
export function graphOf(groups: readonly Group[]): Graph {
  const boxes = new Map<string, Box>();
  const sums = new Map<string, Sum>();
  for (const g of groups) {
    const rules = g.rules ?? [];
    const closed = rules.some((r) => r.direction === "egress");
    const box: Box = { id: groupID(g.name), name: g.name, kind: "group", rules: rules.length,
      egress: closed ? "closed" : "open", state: "stays" };
    if (g.members !== undefined) box.members = g.members;
    boxes.set(box.id, box);
  }
  for (const g of groups) {
    for (const rule of g.rules ?? []) {
      for (const peer of peersOf(rule)) {
        if (!boxes.has(peer.id)) {
          boxes.set(peer.id, { id: peer.id, name: peer.name, kind: peer.kind, rules: 0,
            state: "stays" });
        }
        add(sums, g.name, rule, peer);
      }
    }
  }
  return { boxes: ordered([...boxes.values()]), arrows: [...sums.values()].map(finished) };
}

/** ordered has groups first, then networks, outside before the others. */
function ordered(boxes: Box[]): Box[] {
  const rank = (b: Box): number => b.kind !== "network" ? 0 : b.name === outside ? 1 : 2;
  return boxes.sort((a, b) => rank(a) - rank(b) || compare(a.name, b.name));
}

/** compare puts names in order: web-2 before web-10. */
const collator = new Intl.Collator("en", { numeric: true });
export const compare = (a: string, b: string): number => collator.compare(a, b) ||
  (a < b ? -1 : a > b ? 1 : 0);

export const arrowID = (from: string, to: string): string => `${from}\n${to}`;

function add(sums: Map<string, Sum>, group: string, rule: Rule, peer: Peer): void {
  const own = groupID(group);
  const [from, to] = rule.direction === "egress" ? [own, peer.id] : [peer.id, own];
  const id = arrowID(from, to);
  const sum = sums.get(id) ?? { v4: none, v6: none,
    arrow: { id, from, to, said: [], services: [], state: "stays" as const } };
  sums.set(id, sum);
  const services = ofRule(rule);
  if (peer.families & 1) sum.v4 = union(sum.v4, services);
  if (peer.families & 2) sum.v6 = union(sum.v6, services);
  sum.arrow.said.push(saidOf(group, rule, familyWords(peer.families & 1 ? services : none,
    peer.families & 2 ? services : none, peer.name === outside)));
}

function saidOf(group: string, rule: Rule, inWords: string[]): Said {
  const out: Said = { group, direction: rule.direction, words: inWords, text: ruleText(rule),
    state: "stays" };
  if (rule.id !== undefined) out.id = rule.id;
  if (rule.description) out.description = rule.description;
  return out;
}

function finished({ arrow, v4, v6 }: Sum): Arrow {
  const both = [arrow.from, arrow.to].includes(networkID(outside));
  arrow.services = familyWords(v4, v6, both);
  return arrow;
}

/** familyWords tells what passes; where both families matter, what one alone has says so. */
export function familyWords(v4: Services, v6: Services, both: boolean): string[] {
  if (!both) return words(union(v4, v6));
  const plain = union(meet(v4, v6), union(meet(v4, icmp4), meet(v6, icmp6)));
  return [...words(plain), ...words(minus(v4, plain)).map((w) => w + " (IPv4)"),
    ...words(minus(v6, plain)).map((w) => w + " (IPv6)")];
}

// The ICMP of each family is of one alone.
const icmp4 = parse("icmp")!, icmp6 = parse("icmpv6")!;

/** What the server says of an arrow: `arrows` of GET /v1/matrix. */
export interface Judged {
  from: string;
  to: string;
  direction?: string;
  lacks?: string;
}

/** judged adds to arrows why nothing passes by them, where that holds for all of their rules. */
export function judged(g: Graph, list: readonly Judged[]): Graph {
  const lacks = new Map<string, string[]>();
  for (const a of list) {
    const key = `${a.from}\n${a.to}`;
    lacks.set(key, [...lacks.get(key) ?? [], a.lacks ?? ""]);
  }
  const names = new Map(g.boxes.map((b) => [b.id, b.name]));
  return { boxes: g.boxes, arrows: g.arrows.map((a) => {
    const why = lacks.get(`${names.get(a.from)}\n${names.get(a.to)}`);
    if (why === undefined || why.some((w) => w === "") || a.state !== "stays") return a;
    return { ...a, lacks: [...new Set(why)].join("; ") };
  }) };
}

/** admitting are the arrows of a graph that name any of some services, and their ends. */
export function admitting(g: Graph, has: (a: Arrow) => boolean): Graph {
  const arrows = g.arrows.filter(has);
  const ends = new Set(arrows.flatMap((a) => [a.from, a.to]));
  return { boxes: g.boxes.filter((b) => ends.has(b.id)), arrows };
}

/** between is the id of the arrow from one end to another by their names, also if no rule is it. */
export function between(g: Graph, from: string, to: string): string {
  const there = new Set(g.boxes.map((b) => b.id));
  const id = (name: string): string => there.has(groupID(name)) ? groupID(name) : networkID(name);
  return arrowID(id(from), id(to));
}
