// The client of /v1, for all pages. A client is of a scope: of everything, or of one project, whose
// names are then without its prefix.

import { request, segment } from "./api/request";
import type { Answer, Asking, Listener } from "./api/request";
import { stream } from "./api/stream";
import type { Hearing } from "./api/stream";
import type * as t from "./api/types";

export * from "./api/types";
export { Problem, hasStatus, isAborted, isAway } from "./api/problem";
export type { Answer, Asking, Hearing, Listener };

/** A page of a list is asked for so. */
export interface Paging {
  limit?: number;
  after?: string;
  q?: string;
}

/** An end of a question and what chooses connections and packets. */
export type Chosen = Partial<Record<"port" | "instance" | "group" | "peer" | "protocol" | "from" |
  "to" | "limit", string | number>>;

export class Client {
  /** base is where what is of a project is. */
  readonly base: string;

  /** project "" = everything. */
  constructor(readonly project: string, private readonly listener: Listener = () => {}) {
    this.base = project === "" ? "/v1" : `/v1/projects/${segment(project)}`;
  }

  /** Asks below the scope: path "/groups" is /v1/groups or /v1/projects/P/groups. */
  async ask<T>(path: string, ask: Asking = {}): Promise<T> {
    return (await request<T>(this.base + path, ask, this.listener)).body;
  }

  /** Asks what is of no project: path "/changes" is /v1/changes. */
  async askAll<T>(path: string, ask: Asking = {}): Promise<T> {
    return (await request<T>("/v1" + path, ask, this.listener)).body;
  }

  /** As ask, with the ETag. */
  tagged<T>(path: string, ask: Asking = {}): Promise<Answer<T>> {
    return request<T>(this.base + path, ask, this.listener);
  }

  /** Events below the scope; "/v1/events" and others of no project begin with "/v1". */
  stream(path: string, query: Asking["query"], h: Hearing): Promise<void> {
    const whole = path.startsWith("/v1") ? path : this.base + path;
    return stream(whole, query, h, this.listener);
  }

  whoami = (signal?: AbortSignal) => this.askAll<t.Who>("/whoami", { signal });

  groups = (page: Paging = {}, signal?: AbortSignal) =>
    this.ask<t.Listed<t.Group>>("/groups", { query: { ...page }, signal });

  group = (name: string, signal?: AbortSignal) =>
    this.ask<t.Group>(`/groups/${segment(name)}`, { signal });

  /** A group that may not be there; null = it is not. Asked so, as a 404 is an error to browsers. */
  findGroup = (name: string, signal?: AbortSignal) =>
    named((after) => this.groups({ q: name, limit: 1000, after }, signal), name);

  findInstance = (name: string, signal?: AbortSignal) =>
    named((after) => this.instances({ q: name, limit: 1000, after }, signal), name);

  instances = (page: Paging & { group?: string } = {}, signal?: AbortSignal) =>
    this.ask<t.Listed<t.Instance>>("/instances", { query: { ...page }, signal });

  instance = (name: string, signal?: AbortSignal) =>
    this.ask<t.Instance>(`/instances/${segment(name)}`, { signal });

  /** What several writes would do: who gains, who loses, which connections are cut. */
  plan = (body: t.Several, signal?: AbortSignal) =>
    this.ask<t.Plan>("/plan", { method: "POST", body, signal });

  /** The rules that would admit a packet. */
  suggestions = (query: { src: string; dst: string; service: string }, signal?: AbortSignal) =>
    this.ask<t.Suggested>("/suggestions", { query, signal });

  /** The rules that have admitted nothing. */
  unused = (query: { limit?: number; after?: string; group?: string } = {},
    signal?: AbortSignal) => this.ask<t.Unused>("/unused", { query, signal });

  /** Makes several writes one change; a repetition under the same key is made once. */
  apply = (body: t.Several, key: string) =>
    this.ask<t.Done>("/changes", { method: "POST", body, key });

  status = (query: { generation?: number; wait?: string } = {}, signal?: AbortSignal) =>
    this.ask<t.Status>("/status", { query, signal });

  connections = (query: Chosen = {}, signal?: AbortSignal) =>
    this.ask<t.Connections>("/connections", { query, signal });

  counters = (query: { group?: string } = {}, signal?: AbortSignal) =>
    this.ask<t.Counters>("/counters", { query, signal });

  explain = (query: { from?: string; to?: string; service?: string; via?: string },
    signal?: AbortSignal) => this.ask<t.Explained>("/explain", { query, signal });

  matrix = (query: Record<string, string | boolean | undefined> = {}, signal?: AbortSignal) =>
    this.ask<t.Matrix>("/matrix", { query, signal });

  /** Every host; with an instance, of its ports only those of that one. */
  hosts = (signal?: AbortSignal, instance?: string) =>
    this.askAll<t.Fleet>("/hosts", { signal, query: { instance } });

  changes = (query: { limit?: number; before?: number } = {}, signal?: AbortSignal) =>
    this.askAll<t.Listed<t.Change>>("/changes", { query, signal });

  change = (generation: number, signal?: AbortSignal) =>
    this.askAll<t.Change>(`/changes/${generation}`, { signal });

  /** The policy as a file, of a generation that is remembered; left out = the present one. */
  policy = (generation?: number, signal?: AbortSignal) =>
    this.ask<string>("/policy", { query: { generation }, signal });

  rollback = (generation: number, dryRun: boolean, key: string) =>
    this.askAll<t.Done>(`/changes/${generation}/rollback`,
      { method: "POST", query: { dry_run: dryRun || undefined }, key });

  trial = (signal?: AbortSignal) => request<t.Trial>("/v1/trial", { signal }, this.listener);

  /** Keeps the change on trial. */
  confirm = (generation: number, key: string) =>
    this.askAll<t.Done>(`/changes/${generation}/confirm`, { method: "POST", key });

  /** Takes the change on trial back. */
  abandon = (generation: number, key: string) =>
    this.askAll<t.Done>(`/changes/${generation}/abandon`, { method: "POST", key });

  projects = (page: Paging = {}, signal?: AbortSignal) =>
    this.askAll<t.Listed<t.Project>>("/projects", { query: { ...page }, signal });

  /** Makes a project; one of this name that is there already is refused. */
  makeProject = (name: string, description: string) =>
    this.askAll<t.Done>(`/projects/${segment(name)}`,
      { method: "PUT", body: { description }, ifNoneMatch: "*" });

  removeProject = (name: string) =>
    this.askAll<t.Done>(`/projects/${segment(name)}`, { method: "DELETE", ifMatch: "*" });

  tokens = (signal?: AbortSignal) => this.askAll<t.Listed<t.Token>>("/tokens", { signal });

  makeToken = (body: t.NewToken, key: string) =>
    this.askAll<t.MadeToken>("/tokens", { method: "POST", body, key });

  revoke = (id: string) => this.askAll<unknown>(`/tokens/${segment(id)}`, { method: "DELETE" });
}

/** What has a name, of a list of those whose names have it in them. */
async function named<T extends { name: string }>(
  page: (after: string) => Promise<t.Listed<T>>, name: string,
): Promise<T | null> {
  for (let after = ""; ;) {
    const { items, next } = await page(after);
    const found = items.find((one) => one.name === name);
    if (found || !next) return found ?? null;
    after = next;
  }
}

/** A new key under which a write is made once. */
export const newKey = (): string => crypto.randomUUID();

export { segment };
