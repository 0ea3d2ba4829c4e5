// Who is signed in, whether the server answers, and which generation is the newest. The shell stands
// on it.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import { Client, hasStatus, isAborted } from "./api";
import type { Change, Who } from "./api";

export interface Session {
  who?: Who;
  /** asking = nobody knows yet; out = nobody is signed in; ended = somebody was. */
  state: "asking" | "out" | "in" | "ended";
  away: boolean;
  retry: () => void;
  heard: (event: "answered" | "away" | "signed-out") => void;
}

const againAfter = 3000;

/** Asks who is signed in, again and again while the server is away. */
export function useSession(): Session {
  const [who, setWho] = useState<Who>();
  const [state, setState] = useState<Session["state"]>("asking");
  const [away, setAway] = useState(false);
  const [round, setRound] = useState(0);
  const heard = useCallback((event: "answered" | "away" | "signed-out") => {
    setAway(event === "away");
    if (event === "signed-out") setState((s) => s === "in" || s === "ended" ? "ended" : "out");
  }, []);
  useEffect(() => {
    const control = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    new Client("", heard).whoami(control.signal).then((w) => {
      setWho(w);
      setState("in");
    }, (e) => {
      if (isAborted(e) || hasStatus(e, 401)) return;
      setAway(true);
      timer = setTimeout(() => setRound((n) => n + 1), againAfter);
    });
    return () => { control.abort(); clearTimeout(timer); };
  }, [round, heard]);
  useEffect(() => { // once it was away, ask until it is there
    if (!away || state !== "in") return;
    // a question that hangs is given up for the next one
    const timer = setInterval(() => setRound((n) => n + 1), againAfter);
    return () => clearInterval(timer);
  }, [away, state]);
  return { who, state, away, retry: () => setRound((n) => n + 1), heard };
}

const pollEvery = 2500;

/** Whether many streams may be open at once. Without HTTP/2 a browser has six connections to a
 *  server for all pages: each page that listens takes one from the others. */
const hasRoom = () => performance.getEntriesByType("navigation").some((e) =>
  (e as PerformanceNavigationTiming).nextHopProtocol === "h2");

/** The newest generation: heard by the stream of changes, or asked for by who may not hear it. */
export function useNews(client: Client, who: Who | undefined, isOn: boolean): number {
  const [generation, set] = useState(0);
  const last = useRef(0);
  const note = (n: number) => { if (n > last.current) set(last.current = n); };
  useEffect(() => {
    if (!who || !isOn) return;
    const control = new AbortController();
    const ask = () => void client.status({}, control.signal).then((s) => note(s.generation),
      () => {});
    ask();
    if (who.project || !hasRoom()) {
      const timer = setInterval(() => { if (!document.hidden) ask(); }, pollEvery);
      return () => { control.abort(); clearInterval(timer); };
    }
    void client.stream("/v1/events", { since: last.current || undefined }, {
      event: (kind, data) => { if (kind === "change") note((data as Change).generation); },
      state: (now) => { if (now === "live") ask(); }, signal: control.signal });
    return () => control.abort();
  }, [client, who?.name, who?.project, isOn]);
  return generation;
}
