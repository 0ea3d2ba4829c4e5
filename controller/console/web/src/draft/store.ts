// The draft of this tab: kept in its session storage, so that a reload, a session that is over or a
// server that starts again loses nothing. Pages read it by useDraft and write it by change.

import { useEffect, useState } from "preact/hooks";

import { emptyDraft, sizeOf } from "../model/draft";
import type { Draft } from "../model/draft";

const keyOf = (scope: string) => `portcullis-draft:${scope}`;

/** The part of Storage that is used. */
export interface Kept {
  getItem(key: string): string | null;
  setItem(key: string, text: string): void;
  removeItem(key: string): void;
}

/** What was kept, if it is a draft still. */
export function readDraft(kept: Kept, scope: string): Draft {
  try {
    const d = JSON.parse(kept.getItem(keyOf(scope)) ?? "null") as Partial<Draft> | null;
    if (d && typeof d.groups === "object" && typeof d.instances === "object") {
      return { ...emptyDraft, ...d };
    }
  } catch {
    // damaged: as if there were none
  }
  return emptyDraft;
}

/** Keeps a draft; an empty one is not kept. */
export function keepDraft(kept: Kept, scope: string, d: Draft): void {
  if (sizeOf(d) === 0 && d.message === "") kept.removeItem(keyOf(scope));
  else kept.setItem(keyOf(scope), JSON.stringify(d));
}

/** Drafts, by scope, and who wants to know of them. */
export class Drafts {
  private of = new Map<string, Draft>();
  private listeners = new Set<() => void>();

  constructor(private readonly kept: Kept) {}

  get(scope: string): Draft {
    let d = this.of.get(scope);
    if (!d) this.of.set(scope, d = readDraft(this.kept, scope));
    return d;
  }

  change(scope: string, how: (d: Draft) => Draft): void {
    let next = how(this.get(scope));
    if (sizeOf(next) === 0) next = { ...emptyDraft, confirm: next.confirm };
    this.of.set(scope, next);
    keepDraft(this.kept, scope, next);
    for (const tell of this.listeners) tell();
  }

  /** Whether something is not applied yet, in any scope. */
  hasAny(scopes: readonly string[]): boolean {
    return [...new Set([...this.of.keys(), ...scopes])].some((s) => sizeOf(this.get(s)) > 0);
  }

  listen(tell: () => void): () => void {
    this.listeners.add(tell);
    return () => this.listeners.delete(tell);
  }
}

/** The drafts of this tab. */
export const drafts = new Drafts(typeof sessionStorage === "undefined"
  ? { getItem: () => null, setItem: () => {}, removeItem: () => {} } : sessionStorage);

/** The scopes of drafts that the tab has kept. */
export const keptScopes = (): string[] => Object.keys(sessionStorage)
  .filter((key) => key.startsWith(keyOf(""))).map((key) => key.slice(keyOf("").length));

/** The draft of a scope, and how to change it. */
export function useDraft(scope: string): [Draft, (how: (d: Draft) => Draft) => void] {
  const [, again] = useState({});
  useEffect(() => drafts.listen(() => again({})), []);
  return [drafts.get(scope), (how) => drafts.change(scope, how)];
}
