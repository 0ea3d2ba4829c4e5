// Who is signed in, whether the server answers, and what is news. The shell stands
// on it.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import { Client, hasStatus, isAborted } from "./api";
import type { Change, Trial, Who } from "./api";
import { News } from "./model/news";
import type { Heard } from "./model/news";

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

/** The newest generation and the one on trial: heard by the stream of changes, or asked for by who
 *  may not hear it. */
export function useNews(client: Client, who: Who | undefined, isOn: boolean): Heard {
  const [heard, set] = useState<Heard>({ generation: 0, trial: 0 });
  const kept = useRef<News>();
  const news = kept.current ??= new News(set);
  useEffect(() => {
    if (!who || !isOn) return;
    const control = new AbortController();
    const ask = () => void client.status({}, control.signal).then(news.asked(), () => {});
    ask();
    if (who.project || !hasRoom()) {
      const timer = setInterval(() => { if (!document.hidden) ask(); }, pollEvery);
      return () => { control.abort(); clearInterval(timer); };
    }
    void client.stream("/v1/events", { since: news.heard.generation || undefined }, {
      event: (kind, data) => {
        if (kind === "change") news.change((data as Change).generation);
        if (kind === "trial") news.trial((data as Trial).trial?.generation);
      },
      state: (now) => { if (now === "live") ask(); }, signal: control.signal });
    return () => control.abort();
  }, [client, who?.name, who?.project, isOn]);
  return heard;
}
