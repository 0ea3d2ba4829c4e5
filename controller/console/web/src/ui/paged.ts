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
  again: () => void;
}

/** What is shown of a question, whose key says when it is another one. */
export function usePaged<T>(ask: (after: string, signal: AbortSignal) => Promise<Listed<T>>,
  on: readonly unknown[]): Paged<T> {
  const [state, set] = useState<{ rows: T[]; next: string; total?: number; busy: boolean;
    error?: Error }>({ rows: [], next: "", busy: true });
  const [round, setRound] = useState(0);
  const control = useRef<AbortController>();
  const load = (after: string) => {
    const own = control.current = new AbortController();
    set((s) => ({ ...s, busy: true, error: undefined }));
    ask(after, own.signal).then((page) => set((s) => ({
      rows: after === "" ? page.items : [...s.rows, ...page.items], next: page.next ?? "",
      total: page.total, busy: false,
    })), (error: Error) => {
      if (!isAborted(error)) set((s) => ({ ...s, busy: false, error }));
    });
  };
  useEffect(() => {
    load("");
    return () => control.current?.abort();
  }, [...on, round]);
  const more = state.next !== "" && !state.busy && !state.error ? () => load(state.next)
    : undefined;
  return { rows: state.rows, total: state.total, busy: state.busy, error: state.error, more,
    again: () => setRound((n) => n + 1) };
}
