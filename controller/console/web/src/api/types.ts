// The objects of /v1 as docs/schema/openapi.json describes them; types.test.ts holds the two
// together. The client and every page call this.

export type * from "./matrix";

/** One value, or a list of several: how rules write ports and peers. */
export type Some<T> = T | T[];

/** A rule of a group. Whoever leaves icmp_type and icmp_code out means any. */
export interface Rule {
  id?: string;
  direction: "ingress" | "egress";
  protocol: string | number;
  ports?: Some<string | number>;
  icmp_type?: number | string;
  icmp_code?: number;
  cidr?: Some<string>;
  group?: Some<string>;
  description?: string;
}

export interface Group {
  id?: string;
  name: string;
  description?: string;
  external_sources?: string[];
  rules?: Rule[];
  members?: number;
  shared?: boolean;
}

/** An address that several ports may use; with a MAC other than the port's own, if given. */
export type Allowed = string | { address: string; mac?: string };

/** An interface of an instance. Keys that the console does not show are kept as they are. */
export interface Port {
  name?: string;
  iface_id?: string;
  mac?: string;
  addresses?: string[];
  allowed_addresses?: Allowed[];
  trusted?: boolean;
  type?: string;
  [other: string]: unknown;
}

export interface Instance {
  name: string;
  host?: string;
  migrating_to?: string;
  groups?: string[];
  ports?: Port[];
}

/** A page of a list; without `next` it was the last one. */
export interface Listed<T> {
  items: T[];
  generation?: number;
  next?: string;
  total?: number;
}

/** The answer to a write, or with dry_run what it would be. */
export interface Done {
  generation: number;
  changed: boolean;
  dry_run?: boolean;
  gained: number;
  lost: number;
  access: string[];
}

/** A rule by its group and its words. */
export interface Named {
  group: string;
  rule: string;
  at?: string;
}

/** Who gains or loses what. */
export interface AccessChange {
  direction: string;
  group?: string;
  instances?: string[];
  peer?: string;
  networks?: string[];
  except?: string[];
  services: string;
  rules?: Named[];
  opened?: boolean;
  closed_by?: Named;
}

/** A live connection that a change cuts. */
export interface Cut {
  host?: string;
  port: string;
  instance: string;
  direction: string;
  protocol: string;
  src: string;
  src_port?: number;
  dst: string;
  dst_port?: number;
  icmp_type?: number;
  icmp_code?: number;
  from?: string;
  to?: string;
  group?: string;
  rule?: string;
  at?: string;
}

/** What several writes would do. */
export interface Plan extends Done {
  loses: AccessChange[];
  gains: AccessChange[];
  ports: { what: string; ports: { port: string; instance: string }[] }[];
  cut: Cut[];
  missing?: Missing[];
}

/** A rule that would admit a packet, in one of the groups that it could be a rule of. */
export interface Choice {
  group: string;
  rule: Rule;
  members: number;
  peers?: number;
}

/** What a packet needs at one port: one of its choices. */
export interface Need {
  port: string;
  instance: string;
  direction: string;
  reason: string;
  choices: Choice[];
}

export interface Suggested {
  generation: number;
  admitted: boolean;
  needs: Need[];
}

/** A rule that has admitted nothing since a time; without one nothing is known of it. */
export interface UnusedRule {
  group: string;
  id?: string;
  rule: string;
  since?: string;
  hosts: number;
}

export interface Unused extends Listed<UnusedRule> {
  hosts: number;
  on_all_hosts: boolean;
  missing?: Missing[];
}

export interface Several {
  put?: { groups?: Group[]; instances?: Instance[] };
  remove?: { groups?: string[]; instances?: string[]; projects?: string[] };
  generation?: number;
  message?: string;
  confirm?: string;
}

export interface Change {
  generation: number;
  at: string;
  by: string;
  from: string;
  summary: string;
  lines: string[];
  confirm_by?: string;
  beside?: number;
}

/** A change that is taken back unless it is confirmed in time. */
export interface OnTrial {
  generation: number;
  id: string;
  by: string;
  at: string;
  until: string;
}

export interface Trial {
  trial?: OnTrial;
}

export interface Missing {
  host: string;
  why: string;
}

export interface Status {
  generation: number;
  on_trial?: number;
  in_force: boolean;
  hosts: number;
  reached: number;
  missing?: Missing[];
}

export interface HostPort {
  name: string;
  state: string;
  reason?: string;
  since?: string;
}

export interface Host {
  name: string;
  version?: string;
  api?: string;
  generation: number;
  generation_at?: string;
  seen_at?: string;
  ports_bound: number;
  ports_placed: number;
  ports_in_error: number;
  problems?: Record<string, string>;
  ports?: HostPort[];
  standing: string;
  why?: string;
}

export interface Fleet {
  generation: number;
  hosts: Host[];
  unreachable?: { endpoint: string; why: string }[];
}

export interface Traffic {
  packets: number;
  bytes: number;
}

export interface Counted {
  established: Traffic;
  denied: Traffic;
  limited: { arp_nd_dhcp: number; new_connections: number; fragments: number };
}

export interface RuleCount {
  group: string;
  id?: string;
  rule: string;
  admitted: Traffic;
  hosts: number;
  since: string;
}

export interface PortCount {
  host?: string;
  port: string;
  instance: string;
  ingress: Counted;
  egress: Counted;
  denied_per_second?: number;
  connections?: { known: number; limit: number };
}

export interface Counters {
  /** at is when it was asked; since is when the youngest of the counts began. */
  at?: string;
  since?: string;
  dropped?: unknown[];
  rules: RuleCount[];
  ports: PortCount[];
  missing?: Missing[];
}

export interface ICMP {
  id: number;
  type: number;
  code: number;
}

export interface Connection {
  host: string;
  port: string;
  instance: string;
  direction: string;
  protocol: string;
  src: string;
  src_port?: number;
  dst: string;
  dst_port?: number;
  icmp?: ICMP;
  state?: string;
  current: boolean;
  epoch: number;
  rule_id: number;
  group?: string;
  rule: string;
  at?: string;
}

export interface Connections {
  connections: Connection[];
  more?: boolean;
  missing?: Missing[];
}

/** The first packet of a connection, as a host saw it. */
export interface Packet {
  host?: string;
  time: string;
  verdict: string;
  port: string;
  instance: string;
  direction: "ingress" | "egress";
  protocol: string;
  src: string;
  src_port?: number;
  dst: string;
  dst_port?: number;
  icmp?: ICMP;
  from?: string;
  to?: string;
  again?: boolean;
  group?: string;
  rule?: string;
  reason?: string;
  not_shown?: number;
}

export interface Project {
  name: string;
  description?: string;
  groups: number;
  instances: number;
}

export type Role = "viewer" | "editor" | "operator";

export interface Token {
  id: string;
  kind: string;
  role: Role;
  project?: string;
  description?: string;
  certificate?: string;
  created: string;
  created_by: string;
  expires?: string;
  last_used?: string;
}

export interface NewToken {
  role: Role;
  project?: string;
  description?: string;
  expires?: string;
}

export interface MadeToken extends Token {
  token?: string;
}

/** Who asks; without a project it is everything. */
export interface Who {
  name: string;
  /** description is what the token was made for, of who came with one. */
  description?: string;
  how: string;
  role: Role;
  project?: string;
}

export interface Explained {
  generation: number;
  admitted: boolean;
  answer: unknown;
}

/** A mistake of several in a body. */
export interface Mistake {
  message: string;
  location?: string;
}
