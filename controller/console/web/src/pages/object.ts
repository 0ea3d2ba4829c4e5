// A group or an instance as the page shows it: as in the draft, or as the server has it. Pages call
// this to edit.

import { hasStatus } from "../api";
import type { Group, Instance } from "../api";
import { useApp, useAsk } from "../app";
import { useDraft } from "../draft/store";
import { groupIn, instanceIn, putGroup, putInstance } from "../model/draft";

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

export function useGroup(name: string): Shown<Group> {
  const { client, generation, project } = useApp();
  const [draft, change] = useDraft(project);
  const isDraft = name in draft.groups, isNew = isDraft && !draft.groups[name]?.before;
  const asked = useAsk((s) => isNew ? client.findGroup(name, s) : client.group(name, s),
    [client, name, generation, isNew]);
  const now = hasStatus(asked.error, 404) ? null : asked.data;
  const as = isDraft || now !== undefined ? groupIn(draft, name, now ?? null) : undefined;
  return { now, as, isDraft, again: asked.again,
    error: hasStatus(asked.error, 404) ? undefined : asked.error,
    edit: (how) => {
      const base = as ?? { name, rules: [] };
      change((d) => putGroup(d, name, now ?? null, how(base)));
    } };
}

export function useInstance(name: string): Shown<Instance> {
  const { client, generation, project } = useApp();
  const [draft, change] = useDraft(project);
  const isDraft = name in draft.instances, isNew = isDraft && !draft.instances[name]?.before;
  const asked = useAsk((s) => isNew ? client.findInstance(name, s) : client.instance(name, s),
    [client, name, generation, isNew]);
  const now = hasStatus(asked.error, 404) ? null : asked.data;
  const as = isDraft || now !== undefined ? instanceIn(draft, name, now ?? null) : undefined;
  return { now, as, isDraft, again: asked.again,
    error: hasStatus(asked.error, 404) ? undefined : asked.error,
    edit: (how) => {
      const base = as ?? { name, groups: [], ports: [] };
      change((d) => putInstance(d, name, now ?? null, how(base)));
    } };
}
