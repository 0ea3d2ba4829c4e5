// What every page knows: who is signed in, of which project the page is, and how to ask. The shell
// provides it, pages have it by useApp.

import { createContext } from "preact";
import { useContext, useEffect, useRef, useState } from "preact/hooks";

import type { Client, Who } from "./api";
import { isAborted } from "./api";

export interface App {
  who: Who;
  /** project "" = everything. */
  project: string;
  client: Client;
  /** generation is the newest one that the shell has heard of: what shows the policy asks anew. */
  generation: number;
  /** trial is the generation on trial that the shell has heard of; 0 = none. It ends without a new
   *  generation when it is confirmed. */
  trial: number;
  /** say tells people who do not see it, too. */
  say: (text: string) => void;
}

export const AppContext = createContext<App | undefined>(undefined);

export function useApp(): App {
  const app = useContext(AppContext);
  if (!app) throw new Error("there is no shell around this page");
  return app;
}

const rank = { viewer: 1, editor: 2, operator: 3 };

export const mayEdit = (w: Who) => rank[w.role] >= 2;
export const mayOperate = (w: Who) => rank[w.role] >= 3 && !w.project;

/** Whether somebody sees what is of no project: hosts, history, tokens. */
export const seesAll = (w: Who) => !w.project;

/** What is asked: the last answer stays while it is asked anew. */
export interface Asked<T> {
  data?: T;
  error?: Error;
  busy: boolean;
  again: () => void;
}

/** Asks when the page comes, and whenever one of what it depends on has changed. */
export function useAsk<T>(ask: (signal: AbortSignal) => Promise<T>, on: readonly unknown[]):
  Asked<T> {
  const [state, set] = useState<Omit<Asked<T>, "again">>({ busy: true });
  const [round, setRound] = useState(0);
  const shown = useRef<readonly unknown[]>([]);
  useEffect(() => {
    const control = new AbortController();
    set((s) => ({ ...s, busy: true }));
    shown.current = on;
    ask(control.signal).then((data) => set({ data, busy: false }), (error: Error) => {
      if (!isAborted(error)) set((s) => ({ ...s, error, busy: false }));
    });
    return () => control.abort();
  }, [...on, round]);
  return { ...state, again: () => setRound((n) => n + 1) };
}

/** A value that has not changed for a while: what somebody types is not asked letter by letter. */
export function useCalm<T>(value: T, ms = 150): T {
  const [calm, set] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => set(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return calm;
}
