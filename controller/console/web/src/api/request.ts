// One request to the API. client.ts calls this; nothing else in the console calls fetch, but for
// stream.ts.

import { Problem, problemOf } from "./problem";

/** What a request has beside its path. */
export interface Asking {
  method?: "GET" | "PUT" | "PATCH" | "POST" | "DELETE";
  query?: Record<string, string | number | boolean | undefined>;
  body?: unknown;
  /** ifMatch is the ETag of what is to be replaced; "*" = whatever is there. */
  ifMatch?: string;
  /** ifNoneMatch "*" = only if there is nothing yet. */
  ifNoneMatch?: string;
  /** key is the Idempotency-Key: a request that is repeated under it is made once. */
  key?: string;
  signal?: AbortSignal;
}

/** An answer, its ETag, and when it was given. */
export interface Answer<T> {
  body: T;
  etag: string;
  /** at is the server's clock, in milliseconds and whole seconds; NaN = it does not say. */
  at: number;
}

/** Called with each problem that says who is signed in no more, or that the server is away. */
export type Listener = (event: "answered" | "away" | "signed-out") => void;

/** The path of a request with its query; what is undefined or "" is left out. */
export function pathOf(path: string, query: Asking["query"] = {}): string {
  const q = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") q.set(key, String(value));
  }
  const text = q.toString();
  return text ? `${path}?${text}` : path;
}

/** A name as a segment of a path. */
export const segment = (name: string): string => encodeURIComponent(name);

function headersOf(ask: Asking): Headers {
  const h = new Headers({ Accept: "application/json" });
  if (ask.body !== undefined) {
    h.set("Content-Type",
      ask.method === "PATCH" ? "application/merge-patch+json" : "application/json");
  }
  if (ask.ifMatch) h.set("If-Match", ask.ifMatch);
  if (ask.ifNoneMatch) h.set("If-None-Match", ask.ifNoneMatch);
  if (ask.key) h.set("Idempotency-Key", ask.key);
  return h;
}

/** Tells what an answer says of the session. */
export function tell(listener: Listener, status: number): void {
  if (status === 401) listener("signed-out");
  else if (status === 0 || status >= 502) listener("away");
  else listener("answered");
}

/** Makes a request, and returns its answer, or throws a Problem; AbortError if it is given up. */
export async function request<T>(path: string, ask: Asking, listener: Listener):
  Promise<Answer<T>> {
  let response: Response;
  let text: string;
  try {
    response = await fetch(pathOf(path, ask.query), {
      method: ask.method ?? "GET", headers: headersOf(ask), credentials: "same-origin",
      cache: "no-store", redirect: "error", signal: ask.signal,
      body: ask.body === undefined ? undefined : JSON.stringify(ask.body),
    });
    text = await response.text();
  } catch (e) {
    if (ask.signal?.aborted) throw new DOMException("given up", "AbortError");
    tell(listener, 0);
    throw new Problem(0, "The server is not responding. Try again in a moment.");
  }
  tell(listener, response.status);
  if (!response.ok) throw problemOf(response.status, text, response.headers);
  const isJSON = response.headers.get("Content-Type")?.includes("json") ?? false;
  const body = (isJSON && text !== "" ? JSON.parse(text) : text) as T;
  return { body, etag: response.headers.get("ETag") ?? "",
    at: Date.parse(response.headers.get("Date") ?? "") };
}
