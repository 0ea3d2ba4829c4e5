// Two edits of one object become one. The draft is rebased by it when somebody else was quicker:
// sets are joined, and a value that both changed is a conflict that a person decides. No DOM.

import type { Group, Instance, Port } from "../api/types";
import { groupText, instanceText } from "./draft";
import type { Conflict, Draft, Edit } from "./draft";
import { ruleKey } from "./rule";

/** Joins what two people did to a set: what either took out is out, what either put in is in. */
export function mergeSets<T>(before: T[], mine: T[], theirs: T[], key: (v: T) => string): T[] {
  const had = new Set(before.map(key)), kept = new Set(mine.map(key));
  const theirKeys = new Set(theirs.map(key));
  return [...theirs.filter((v) => kept.has(key(v)) || !had.has(key(v))),
    ...mine.filter((v) => !had.has(key(v)) && !theirKeys.has(key(v)))];
}

type Note = (field: string, mine: string, theirs: string) => void;

function mergeValue<T>(field: string, before: T, mine: T, theirs: T, note: Note): T {
  const [b, m, t] = [before, mine, theirs].map((v) => JSON.stringify(v ?? ""));
  if (m === b || m === t) return theirs;
  if (t !== b) note(field, String(mine ?? ""), String(theirs ?? ""));
  return mine;
}

const same = (v: string) => v;

export function mergeGroup(before: Group, mine: Group, theirs: Group, note: Note): Group {
  const out: Group = { ...theirs, name: mine.name,
    rules: mergeSets(before.rules ?? [], mine.rules ?? [], theirs.rules ?? [], ruleKey) };
  out.external_sources = mergeSets(before.external_sources ?? [], mine.external_sources ?? [],
    theirs.external_sources ?? [], same);
  out.description = mergeValue("description", before.description, mine.description,
    theirs.description, note);
  out.shared = mergeValue("shared", before.shared, mine.shared, theirs.shared, note);
  return out;
}

const portKey = (p: Port) => String(p.iface_id ?? p.name ?? p.mac ?? "");

export function mergeInstance(before: Instance, mine: Instance, theirs: Instance,
  note: Note): Instance {
  const out: Instance = { ...theirs, name: mine.name,
    groups: mergeSets(before.groups ?? [], mine.groups ?? [], theirs.groups ?? [], same) };
  out.host = mergeValue("host", before.host, mine.host, theirs.host, note);
  out.migrating_to = mergeValue("moves to", before.migrating_to, mine.migrating_to,
    theirs.migrating_to, note);
  const at = (i: Instance, key: string) => (i.ports ?? []).find((p) => portKey(p) === key);
  out.ports = mergeSets(before.ports ?? [], mine.ports ?? [], theirs.ports ?? [], portKey)
    .map((p) => {
      const key = portKey(p), was = at(before, key), own = at(mine, key);
      return !was || !own ? p : mergeValue(`port ${key}`, was, own, p, (f) => note(f,
        JSON.stringify(own), JSON.stringify(p)));
    });
  return out;
}

/** What the server has now of what a draft changes; null = it is not there. */
export interface Current {
  generation: number;
  groups: Record<string, Group | null>;
  instances: Record<string, Instance | null>;
}

/** A draft on what the server has now, and the objects that others have changed meanwhile. */
export interface Rebased {
  draft: Draft;
  changed: string[];
}

function rebaseOne<T>(edit: Edit<T>, now: T | null, text: (v: T | null) => string,
  merge: (before: T, mine: T, theirs: T, note: Note) => T, note: Note): Edit<T> {
  const { before, after } = edit;
  if (text(now) === text(before)) return { before: now, after };
  if (!after) { // taken out here, changed there
    if (now) note("all", "removed", "changed");
    return { before: now, after: null };
  }
  if (!now) { // changed here, taken out there
    note("all", before ? "changed" : "made", "removed");
    return { before: null, after };
  }
  if (!before && text(now) !== text(after)) { // made twice: joined as if it had been empty
    const none = { name: (after as unknown as { name: string }).name } as unknown as T;
    return { before: now, after: merge(none, after, now, note) };
  }
  return { before: now, after: before ? merge(before, after, now, note) : after };
}

function rebaseAll<T>(kind: Conflict["kind"], all: Record<string, Edit<T>>,
  now: Record<string, T | null>, text: (v: T | null) => string,
  merge: (before: T, mine: T, theirs: T, note: Note) => T, conflicts: Conflict[],
  changed: string[]): Record<string, Edit<T>> {
  const out: Record<string, Edit<T>> = {};
  for (const [name, edit] of Object.entries(all)) {
    const theirs = name in now ? now[name] ?? null : edit.before;
    if (text(theirs) !== text(edit.before) && text(theirs) !== text(edit.after)) {
      changed.push(`${kind === "groups" ? "group" : "instance"} ${name}`);
    }
    const next = rebaseOne(edit, theirs, text, merge, (field, mine, others) =>
      conflicts.push({ kind, name, field, mine, theirs: others }));
    if (text(next.before) !== text(next.after)) out[name] = next;
  }
  return out;
}

/** Puts a draft onto what the server has now. Nothing of it is lost, and nothing of others either. */
export function rebase(d: Draft, now: Current): Rebased {
  const conflicts = [...d.conflicts], changed: string[] = [];
  const groups = rebaseAll("groups", d.groups, now.groups, groupText, mergeGroup, conflicts,
    changed);
  const instances = rebaseAll("instances", d.instances, now.instances, instanceText,
    mergeInstance, conflicts, changed);
  const { key: _, ...rest } = d;
  return { draft: { ...rest, generation: now.generation, groups, instances, conflicts }, changed };
}

/** An edit in which a port that both have changed is as others have it; the rest of it stays. */
function withTheirPort({ before, after }: Edit<Instance>, field: string): Edit<Instance> {
  const isIt = (p: Port) => `port ${portKey(p)}` === field;
  const theirs = (before?.ports ?? []).find(isIt);
  return { before, after: after && { ...after,
    ports: (after.ports ?? []).map((p) => theirs && isIt(p) ? theirs : p) } };
}

/** Decides a conflict. */
export function decide(d: Draft, c: Conflict, side: "mine" | "theirs"): Draft {
  const conflicts = d.conflicts.filter((other) => other !== c);
  if (side === "mine") return { ...d, conflicts };
  const fields: Record<string, string> = { description: "description", shared: "shared",
    host: "host", "moves to": "migrating_to" };
  const put = <T>(all: Record<string, Edit<T>>): Record<string, Edit<T>> => {
    const { [c.name]: edit, ...rest } = all;
    if (c.field.startsWith("port ") && edit?.before && edit.after) {
      return { ...rest, [c.name]: withTheirPort(edit as Edit<Instance>, c.field) as Edit<T> };
    }
    const field = fields[c.field];
    if (!edit || !field || !edit.before || !edit.after) return rest; // the whole of it
    const before = edit.before as Record<string, unknown>;
    return { ...rest, [c.name]: { before: edit.before, after: { ...edit.after,
      [field]: before[field] } } };
  };
  return c.kind === "groups" ? { ...d, conflicts, groups: put(d.groups) }
    : { ...d, conflicts, instances: put(d.instances) };
}
