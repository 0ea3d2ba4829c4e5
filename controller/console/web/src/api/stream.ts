// A stream of events that goes on where it broke. Pages call Client.stream; it has no end but that
// of its signal, or of the session.

import { Problem, problemOf } from "./problem";
import { pathOf, tell } from "./request";
import type { Asking, Listener } from "./request";
import { EventReader, backOff } from "./sse";

/** How a stream is heard. */
export interface Hearing {
  event: (kind: string, data: unknown) => void;
  /** state: live = events come; waiting = it broke and is asked again. */
  state?: (now: "live" | "waiting", why?: string) => void;
  /** over: the server refuses it for good. */
  over?: (p: Problem) => void;
  signal: AbortSignal;
}

/** silence is how long, in milliseconds, a stream that lives is silent at most: the server says
 *  something every 15 s. After it, the network is gone, and nobody has told this browser. */
const silence = 40_000;

const pause = (ms: number, signal: AbortSignal): Promise<void> => new Promise((done) => {
  const end = () => { clearTimeout(timer); signal.removeEventListener("abort", end); done(); };
  const timer = setTimeout(end, ms);
  signal.addEventListener("abort", end);
});

/** Ends when the page is left, so that a page that the browser keeps for the way back keeps no
 *  connection: there are six of them for all pages of a server. */
function whileShown(outer: AbortSignal): AbortSignal {
  const control = new AbortController();
  const end = () => control.abort();
  if (typeof addEventListener === "function") {
    addEventListener("pagehide", end, { once: true, signal: outer });
  }
  if (outer.aborted) end();
  else outer.addEventListener("abort", end, { once: true });
  return control.signal;
}

async function once(path: string, reader: EventReader, h: Hearing, listener: Listener) {
  const headers = new Headers({ Accept: "text/event-stream" });
  if (reader.id) headers.set("Last-Event-ID", reader.id);
  const response = await fetch(path, { headers, credentials: "same-origin", cache: "no-store",
    redirect: "error", signal: whileShown(h.signal) });
  tell(listener, response.status);
  if (!response.ok) throw problemOf(response.status, await response.text(), response.headers);
  h.state?.("live");
  const body = response.body?.getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const timer = setTimeout(() => void body?.cancel(), silence);
    const piece = await body?.read().finally(() => clearTimeout(timer));
    if (!piece || piece.done) return;
    reader.push(decoder.decode(piece.value, { stream: true }));
  }
}

/** Listens until h.signal ends it. */
export async function stream(path: string, query: Asking["query"], h: Hearing,
  listener: Listener): Promise<void> {
  let attempt = 0;
  const reader = new EventReader((e) => {
    attempt = 0;
    h.event(e.kind, JSON.parse(e.data));
  });
  while (!h.signal.aborted) {
    let why = "the stream has ended";
    try {
      await once(pathOf(path, query), reader, h, listener);
    } catch (e) {
      if (h.signal.aborted) return;
      if (e instanceof Problem) {
        why = e.message;
        if (e.status >= 400 && e.status < 500 && e.status !== 429) {
          h.over?.(e);
          return;
        }
      } else {
        tell(listener, 0);
        why = "the server is not responding";
      }
    }
    if (h.signal.aborted) return;
    h.state?.("waiting", why);
    await pause(backOff(attempt++, Math.random()), h.signal);
  }
}
