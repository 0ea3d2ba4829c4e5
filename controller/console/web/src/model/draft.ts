// A draft: what somebody means to change, before anybody else sees it. Pages write it, and
// draft/store.ts keeps it. Values are never changed, but replaced. No DOM.

import type { Group, Instance, Several } from "../api/types";
import { bareRule, ruleKey, ruleText } from "./rule";

/** An object before and after; null = it is not there. */
export interface Edit<T> {
  before: T | null;
  after: T | null;
}

/** A field that somebody else has changed to another value meanwhile. */
export interface Conflict {
  kind: "groups" | "instances";
  name: string;
  field: string;
  mine: string;
  theirs: string;
}

export interface Draft {
  /** generation is the one that it was made of; 0 = none yet. */
  generation: number;
  groups: Record<string, Edit<Group>>;
  instances: Record<string, Edit<Instance>>;
  conflicts: Conflict[];
  message: string;
  /** confirm = it is taken back unless it is confirmed. */
  confirm: boolean;
  /** key is that of the attempt to apply it whose answer has not come. */
  key?: string;
}

export const emptyDraft: Draft = { generation: 0, groups: {}, instances: {}, conflicts: [],
  message: "", confirm: true };

/** A group as it is written: without what the server counts and keeps. */
export function bareGroup(g: Group): Group {
  const out: Group = { name: g.name };
  if (g.description) out.description = g.description;
  if (g.external_sources?.length) out.external_sources = g.external_sources;
  if (g.shared) out.shared = true;
  out.rules = (g.rules ?? []).map(bareRule);
  return out;
}

/** What makes two groups the same: the order of rules and networks has no meaning. */
export function groupText(g: Group | null): string {
  if (!g) return "";
  const b = bareGroup(g);
  return JSON.stringify([b.name, b.description ?? "", b.shared ?? false,
    [...(b.external_sources ?? [])].sort(), (b.rules ?? []).map(ruleKey).sort()]);
}

export function instanceText(i: Instance | null): string {
  if (!i) return "";
  const ports = (i.ports ?? []).map((p) => JSON.stringify(p, Object.keys(p).sort()));
  return JSON.stringify([i.name, i.host ?? "", i.migrating_to ?? "", [...(i.groups ?? [])].sort(),
    JSON.stringify(i.ports ?? []), ports.length]);
}

function withEdit<T>(all: Record<string, Edit<T>>, name: string, edit: Edit<T>,
  text: (v: T | null) => string): Record<string, Edit<T>> {
  const { [name]: old, ...rest } = all;
  const before = old ? old.before : edit.before;
  if (text(before) === text(edit.after)) return rest;
  return { ...rest, [name]: { before, after: edit.after } };
}

const withoutConflicts = (d: Draft, kind: Conflict["kind"], name: string) =>
  d.conflicts.filter((c) => c.kind !== kind || c.name !== name);

/** Puts a group into the draft; before is what the server has, and counts for the first edit. */
export function putGroup(d: Draft, name: string, before: Group | null, after: Group | null): Draft {
  const groups = withEdit(d.groups, name, { before, after }, groupText);
  return { ...d, groups,
    conflicts: groups[name] ? d.conflicts : withoutConflicts(d, "groups", name) };
}

export function putInstance(d: Draft, name: string, before: Instance | null,
  after: Instance | null): Draft {
  const instances = withEdit(d.instances, name, { before, after }, instanceText);
  return { ...d, instances,
    conflicts: instances[name] ? d.conflicts : withoutConflicts(d, "instances", name) };
}

/** The draft once one has been applied: what was written since it was sent stays, on top of it. */
export function withoutApplied(d: Draft, sent: Draft): Draft {
  const left = <T>(all: Record<string, Edit<T>>, done: Record<string, Edit<T>>,
    text: (v: T | null) => string): Record<string, Edit<T>> =>
    Object.fromEntries(Object.entries(all).flatMap(([name, edit]) => {
      const own = done[name], before = own ? own.after : edit.before;
      return text(before) === text(edit.after) ? [] : [[name, { before, after: edit.after }]];
    }));
  return { ...d, groups: left(d.groups, sent.groups, groupText), conflicts: [], message: "",
    instances: left(d.instances, sent.instances, instanceText), key: undefined };
}

/** How many objects it changes. */
export const sizeOf = (d: Draft): number =>
  Object.keys(d.groups).length + Object.keys(d.instances).length;

/** A group as it will be: as in the draft, or else as the server has it. */
export const groupIn = (d: Draft, name: string, now: Group | null): Group | null =>
  d.groups[name] ? d.groups[name].after : now;

export const instanceIn = (d: Draft, name: string, now: Instance | null): Instance | null =>
  d.instances[name] ? d.instances[name].after : now;

/** The request that makes it: one change. */
export function bodyOf(d: Draft): Several {
  const out: Several = { generation: d.generation };
  const groups = Object.values(d.groups), instances = Object.values(d.instances);
  const put = { groups: groups.flatMap((e) => e.after ? [bareGroup(e.after)] : []),
    instances: instances.flatMap((e) => e.after ? [e.after] : []) };
  if (put.groups.length + put.instances.length > 0) {
    out.put = {};
    if (put.groups.length) out.put.groups = put.groups;
    if (put.instances.length) out.put.instances = put.instances;
  }
  const gone = <T>(all: Record<string, Edit<T>>) =>
    Object.entries(all).flatMap(([name, e]) => e.after || !e.before ? [] : [name]);
  const remove = { groups: gone(d.groups), instances: gone(d.instances) };
  if (remove.groups.length + remove.instances.length > 0) out.remove = remove;
  if (d.message) out.message = d.message;
  return out;
}

/** One line of what it does: + comes, - goes, ~ becomes another. */
export interface Line {
  sign: "+" | "-" | "~";
  text: string;
}

/** What it does to one object. */
export interface Told {
  kind: "groups" | "instances";
  name: string;
  lines: Line[];
}

function lists(before: string[], after: string[], what: (word: string) => string): Line[] {
  return [...before.filter((w) => !after.includes(w)).map((w): Line => ({ sign: "-",
    text: what(w) })), ...after.filter((w) => !before.includes(w)).map((w): Line => ({ sign: "+",
    text: what(w) }))];
}

const value = (name: string, a: string, b: string): Line[] =>
  a === b ? [] : [{ sign: "~", text: `${name}: ${a || "none"} → ${b || "none"}` }];

export function linesOfGroup({ before, after }: Edit<Group>): Line[] {
  const out: Line[] = [];
  if (!before) out.push({ sign: "+", text: "new group" });
  if (!after) return [{ sign: "-", text: "group removed, with all its rules" }];
  const shown = (g: Group | null) => (g?.rules ?? []).map((r) =>
    ruleText(r) + (r.description ? ` (${r.description})` : ""));
  return [...out, ...lists(shown(before), shown(after), (w) => w),
    ...lists(before?.external_sources ?? [], after.external_sources ?? [],
      (w) => `external source ${w}`),
    ...value("description", before?.description ?? "", after.description ?? ""),
    ...value("shared", before?.shared ? "yes" : "no", after.shared ? "yes" : "no")];
}

const portText = (p: unknown) => {
  const { name, iface_id, mac, addresses } = p as Record<string, unknown>;
  return `port ${name ?? iface_id ?? ""} ${mac ?? ""} ${(addresses as string[] ?? []).join(", ")}`
    .trim();
};

export function linesOfInstance({ before, after }: Edit<Instance>): Line[] {
  if (!after) return [{ sign: "-", text: "instance removed: its ports are no longer filtered" }];
  const out: Line[] = before ? [] : [{ sign: "+", text: "new instance" }];
  return [...out, ...lists(before?.groups ?? [], after.groups ?? [], (w) => `member of ${w}`),
    ...value("host", before?.host ?? "", after.host ?? ""),
    ...value("moves to", before?.migrating_to ?? "", after.migrating_to ?? ""),
    ...lists((before?.ports ?? []).map(portText), (after.ports ?? []).map(portText), (w) => w)];
}

/** The draft in words, object by object. */
export function told(d: Draft): Told[] {
  return [
    ...Object.entries(d.groups).map(([name, e]): Told => ({ kind: "groups", name,
      lines: linesOfGroup(e) })),
    ...Object.entries(d.instances).map(([name, e]): Told => ({ kind: "instances", name,
      lines: linesOfInstance(e) })),
  ].sort((a, b) => a.kind.localeCompare(b.kind) || a.name.localeCompare(b.name));
}

/** What the history says if nobody writes a message. */
export function messageOf(d: Draft): string {
  const names = (kind: Told["kind"]) => told(d).filter((t) => t.kind === kind).map((t) => t.name);
  const part = (one: string, list: string[]) => list.length === 0 ? ""
    : list.length === 1 ? `${one} ${list[0]}` : `${list.length} ${one}s`;
  return [part("group", names("groups")), part("instance", names("instances"))].filter(Boolean)
    .join(", ").slice(0, 120);
}
