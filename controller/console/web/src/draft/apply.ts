// Applies a draft, and puts it onto what others have done meanwhile. draft/page.tsx calls this.

import { Problem, hasStatus, newKey } from "../api";
import type { Client, Done, Group, Instance } from "../api";
import { bodyOf, messageOf } from "../model/draft";
import type { Draft } from "../model/draft";
import { rebase } from "../model/merge";
import type { Current } from "../model/merge";

/** How long a change on trial has to be confirmed. */
export const trialTime = "60s";

async function orNone<T>(asked: Promise<T>): Promise<T | null> {
  try {
    return await asked;
  } catch (e) {
    if (hasStatus(e, 404)) return null;
    throw e;
  }
}

/** What the server has now of what the draft changes. The generation is asked for first, so that
 *  what is newer than it is noticed by the next write. */
async function currentOf(client: Client, d: Draft, signal?: AbortSignal): Promise<Current> {
  const { generation } = await client.status({}, signal);
  const groups: Record<string, Group | null> = {};
  const instances: Record<string, Instance | null> = {};
  await Promise.all([
    ...Object.entries(d.groups).map(async ([n, e]) => {
      groups[n] = await (e.before ? orNone(client.group(n, signal)) : client.findGroup(n, signal));
    }),
    ...Object.entries(d.instances).map(async ([n, e]) => {
      instances[n] = await (e.before ? orNone(client.instance(n, signal))
        : client.findInstance(n, signal));
    }),
  ]);
  return { generation, groups, instances };
}

/** Puts a draft onto what is there now: as it is when the answer comes, as somebody may be writing.
 *  An attempt whose answer has not come stays the same one, unless others have changed the same. */
export async function refresh(client: Client, d: Draft, signal: AbortSignal | undefined,
  change: (how: (now: Draft) => Draft) => void): Promise<string[]> {
  const current = await currentOf(client, d, signal);
  let changed: string[] = [];
  if (!signal?.aborted) {
    change((now) => {
      const next = rebase(now, current);
      changed = next.changed;
      return { ...next.draft, key: changed.length > 0 ? undefined : now.key };
    });
  }
  return changed;
}

/** The body of the change that a draft is. */
export function changeOf(d: Draft, mayTry: boolean) {
  return { ...bodyOf(d), message: d.message || messageOf(d),
    ...(d.confirm && mayTry ? { confirm: trialTime } : {}) };
}

export type Outcome = { kind: "done"; done: Done } | { kind: "overtaken" } |
  { kind: "unknown"; why: string } | { kind: "refused"; why: Problem };

/** Makes the change. A repetition under the key of the draft is made once. */
export async function apply(client: Client, d: Draft, mayTry: boolean): Promise<Outcome> {
  try {
    return { kind: "done", done: await client.apply(changeOf(d, mayTry), d.key ?? newKey()) };
  } catch (e) {
    if (!(e instanceof Problem)) return { kind: "unknown", why: (e as Error).message };
    if (e.status === 412) return { kind: "overtaken" };
    if (e.status === 0 || e.status === 401 || e.status >= 500) {
      return { kind: "unknown", why: e.message };
    }
    return { kind: "refused", why: e };
  }
}

const kept = "portcullis-applied";

/** A change that was made in this tab: what became of it is shown until it is put away. */
export interface Applied {
  generation: number;
  project: string;
  message: string;
  /** draft is what was applied, for whoever wants it again after it was taken back. */
  draft: Draft;
}

export function readApplied(): Applied | undefined {
  try {
    return JSON.parse(sessionStorage.getItem(kept) ?? "null") ?? undefined;
  } catch {
    return undefined;
  }
}

export function keepApplied(a: Applied | undefined): void {
  if (a) sessionStorage.setItem(kept, JSON.stringify(a));
  else sessionStorage.removeItem(kept);
}
