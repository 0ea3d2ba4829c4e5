// A group or an instance as the page shows it: as in the draft, or as the server has it. Pages call
// this to edit.

import { hasStatus } from "../api";
import type { Client, Group, Instance } from "../api";
import { useApp, useAsk } from "../app";
import { useDraft } from "../draft/store";
import { putGroup, putInstance } from "../model/draft";
import type { Draft, Edit } from "../model/draft";

/** An object, where it stands, and how it is edited. */
export interface Shown<T> {
  /** now is what the server has; null = nothing; undefined = it is not known yet. */
  now: T | null | undefined;
  /** as is what the page shows; null = it is not there, or is taken away by the draft. */
  as: T | null | undefined;
  isDraft: boolean;
  error?: Error;
  again: () => void;
  edit: (how: (v: T) => T | null) => void;
}

/** What there is of a kind of object: its edits, the server's questions, and what a new one has. */
interface Kind<T> {
  edits: (d: Draft) => Record<string, Edit<T>>;
  get: (c: Client, name: string, s: AbortSignal) => Promise<T>;
  find: (c: Client, name: string, s: AbortSignal) => Promise<T | null>;
  put: (d: Draft, name: string, before: T | null, after: T | null) => Draft;
  fresh: (name: string) => T;
}

const group: Kind<Group> = {
  edits: (d) => d.groups, put: putGroup, fresh: (name) => ({ name, rules: [] }),
  get: (c, name, s) => c.group(name, s), find: (c, name, s) => c.findGroup(name, s),
};

const instance: Kind<Instance> = {
  edits: (d) => d.instances, put: putInstance, fresh: (name) => ({ name, groups: [], ports: [] }),
  get: (c, name, s) => c.instance(name, s), find: (c, name, s) => c.findInstance(name, s),
};

export const useGroup = (name: string): Shown<Group> => useShown(group, name);
export const useInstance = (name: string): Shown<Instance> => useShown(instance, name);

function useShown<T>(kind: Kind<T>, name: string): Shown<T> {
  const { client, generation, project } = useApp();
  const [draft, change] = useDraft(project);
  const edits = kind.edits(draft);
  const own = Object.hasOwn(edits, name) ? edits[name] : undefined;
  const isNew = own !== undefined && !own.before;
  const asked = useAsk<T | null>((s) => (isNew ? kind.find : kind.get)(client, name, s),
    [client, name, generation, isNew]);
  const isNone = hasStatus(asked.error, 404);
  const now = isNone ? null : asked.data;
  const as = own ? own.after : now;
  return { now, as, isDraft: own !== undefined, again: asked.again,
    error: isNone ? undefined : asked.error,
    edit: (how) => {
      const base = as ?? kind.fresh(name);
      change((d) => kind.put(d, name, now ?? null, how(base)));
    } };
}
