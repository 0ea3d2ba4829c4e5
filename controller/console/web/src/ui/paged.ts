// A list that comes in pages: the first at once, the others as they come into sight. Pages call this
// for what may be tens of thousands.

import { useEffect, useRef, useState } from "preact/hooks";

import { isAborted } from "../api";
import type { Listed } from "../api";

export interface Paged<T> {
  rows: T[];
  /** total is how many there are, if the server says so. */
  total?: number;
  more?: () => void;
  busy: boolean;
  error?: Error;
  /** isOld = it has changed since, and is too long to be had anew unasked. */
  isOld: boolean;
  again: () => void;
}

interface State<T> {
  rows: T[];
  next: string;
  total?: number;
  busy: boolean;
  error?: Error;
  isOld: boolean;
}

type Ask<T> = (after: string, signal: AbortSignal) => Promise<Listed<T>>;

/** freshUpTo rows are had anew whenever something has changed. */
const freshUpTo = 1000;

/** As many rows as there were, from the first on. */
async function asMany<T>(ask: Ask<T>, count: number, signal: AbortSignal): Promise<Listed<T>> {
  const items: T[] = [];
  for (let after = ""; ;) {
    const page = await ask(after, signal);
    items.push(...page.items);
    if (!page.next || items.length >= count) return { ...page, items };
    after = page.next;
  }
}

/** A list of a question: another question begins anew, and news of the same one keeps its length. */
export function usePaged<T>(ask: Ask<T>, question: readonly unknown[], news?: unknown): Paged<T> {
  const [state, set] = useState<State<T>>({ rows: [], next: "", busy: true, isOld: false });
  const [round, setRound] = useState(0);
  const control = useRef<AbortController>();
  const run = (how: (signal: AbortSignal) => Promise<Listed<T>>, isMore: boolean) => {
    control.current?.abort();
    const own = control.current = new AbortController();
    set((s) => ({ ...s, busy: true, error: undefined }));
    how(own.signal).then((page) => set((s) => ({
      rows: isMore ? [...s.rows, ...page.items] : page.items, next: page.next ?? "",
      total: page.total, busy: false, isOld: isMore && s.isOld,
    })), (error: Error) => {
      if (!isAborted(error)) set((s) => ({ ...s, busy: false, error }));
    });
  };
  const seen = useRef(news);
  useEffect(() => {
    seen.current = news;
    run((signal) => ask("", signal), false);
    return () => control.current?.abort();
  }, [...question, round]);
  useEffect(() => {
    if (seen.current === news) return;
    seen.current = news;
    if (state.rows.length > freshUpTo) set((s) => ({ ...s, isOld: true }));
    else run((signal) => asMany(ask, state.rows.length, signal), false);
  }, [news]);
  const { next, busy, error } = state;
  return { ...state, again: () => setRound((n) => n + 1),
    more: next !== "" && !busy && !error ? () => run((signal) => ask(next, signal), true)
      : undefined };
}
