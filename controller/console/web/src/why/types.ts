// The answers of GET /v1/explain, as `portcullis explain -o json` prints them (docs/explain.md). Only
// what the page shows is here.

export type Verdict = "admitted" | "denied" | "partly";

export interface End {
  instance?: string;
  port?: string;
  host?: string;
  address: string;
  network?: string;
}

export interface RuleAt {
  group: string;
  rule: string;
  at?: string;
  services?: string;
  missing?: string;
  by?: string;
}

export interface Side {
  direction: "ingress" | "egress";
  instance: string;
  port?: string;
  verdict: Verdict;
  services: string;
  open?: boolean;
  rules?: RuleAt[];
  closed_by?: RuleAt;
  nearest?: RuleAt[];
  reason: string;
}

export interface Way {
  way: string;
  verdict: Verdict;
  guard?: string;
}

export interface Route {
  pairs: { from: End; to: End }[];
  verdict: Verdict;
  services: string;
  guard?: string;
  ways?: Way[];
  egress?: Side;
  ingress?: Side;
}

export interface Many {
  instances?: number;
  elsewhere?: number;
  names?: string[];
  networks?: string[];
}

export interface Kind {
  verdict: Verdict;
  family: string;
  pairs: number;
  services: string;
  from: Many;
  to: Many;
  example: Route;
}

export interface Step {
  what: string;
  frame: string;
  optional?: string;
  host?: string;
  enters?: string;
  verdict: Verdict;
  ports?: string[];
  uplink?: boolean;
  reason?: string;
  missing?: string;
}

export interface Check {
  from: End;
  to: End;
  what?: string;
  agrees: boolean;
  policy?: unknown;
  switch?: unknown;
  last_flow?: string;
  packet?: string;
}

/** What passes from one end to another. */
export interface Pairwise {
  from: string;
  to: string;
  service: string;
  verdict: Verdict;
  reason?: string;
  routes?: Route[];
  kinds?: Kind[];
  pairs?: { admitted: number; partly: number; denied: number };
  exchanges?: { from: End; verdict: Verdict; steps: Step[] }[];
  live?: { agrees: boolean; checks?: Check[]; not_traced?: unknown[] };
}

export interface Group {
  peers: End[];
  services: string;
  rules?: RuleAt[];
  theirs?: RuleAt[];
}

/** Who reaches an end, or whom it reaches. */
export interface Reach {
  direction: "ingress" | "egress";
  points: End[];
  open?: boolean;
  outside: { network: string; of?: string[]; services: string; rules?: RuleAt[] }[];
  instances: Group[];
}

export type Answer = Pairwise | Reach[];

/** whole is an answer as it is, or undefined if it is of no form that is known here. */
export function whole(answer: unknown): Answer | undefined {
  if (Array.isArray(answer)) return answer as Reach[];
  const one = answer as Partial<Pairwise> | null;
  return typeof one === "object" && one !== null && typeof one.verdict === "string"
    ? one as Pairwise : undefined;
}

/** endText is an end in words: "web-1 203.0.113.11". */
export const endText = (e: End): string =>
  [e.instance, e.network ?? e.address].filter((w) => w !== undefined && w !== "").join(" ");

/** manyText is many ends in words: "4 instances: web-1, web-2, …". */
export function manyText(m: Many): string {
  const names = [...m.names ?? [], ...m.networks ?? []];
  const all = (m.instances ?? 0) + (m.elsewhere ?? 0);
  return names.join(", ") + (all > names.length ? ` and ${all - names.length} more` : "");
}

/** families joins answers about one pair of ends by what they say: most say the same. */
export function peersText(peers: readonly End[], most = 8): string {
  const names = [...new Set(peers.map((e) => e.instance ?? e.address))];
  return names.slice(0, most).join(", ") +
    (names.length > most ? ` and ${names.length - most} more` : "");
}
