// What went wrong with a request, in words for people. api/request.ts makes it, pages show it.

import type { Mistake } from "./types";

/** Why a request did not succeed. */
export class Problem extends Error {
  /** status is that of HTTP; 0 = the server did not answer. */
  readonly status: number;
  readonly mistakes: Mistake[];
  /** request is the ID under which the server's log has it. */
  readonly request?: string;
  /** retryAfter is in seconds, if the server said so. */
  readonly retryAfter?: number;

  constructor(status: number, detail: string, more: {
    mistakes?: Mistake[]; request?: string; retryAfter?: number;
  } = {}) {
    super(detail);
    this.name = "Problem";
    this.status = status;
    this.mistakes = more.mistakes ?? [];
    this.request = more.request;
    this.retryAfter = more.retryAfter;
  }
}

/** Whether nobody answered: the network or the server is away, and may come back. */
export function isAway(e: unknown): boolean {
  return e instanceof Problem && (e.status === 0 || e.status === 502 || e.status === 503 ||
    e.status === 504);
}

/** Whether a request was given up by whoever made it. */
export function isAborted(e: unknown): boolean {
  return e instanceof DOMException && e.name === "AbortError";
}

export const hasStatus = (e: unknown, status: number): boolean =>
  e instanceof Problem && e.status === status;

/** What an answer that is no success says; text is its body. */
export function problemOf(status: number, text: string, headers: Headers): Problem {
  const retryAfter = Number(headers.get("Retry-After")) || undefined;
  try {
    const body = JSON.parse(text) as Record<string, unknown>;
    return new Problem(status, String(body.detail ?? body.message ?? body.title ?? status), {
      mistakes: Array.isArray(body.errors) ? body.errors as Mistake[] : [],
      request: typeof body.request === "string" ? body.request : undefined, retryAfter,
    });
  } catch {
    return new Problem(status, `The server answered ${status} without details.`,
      { retryAfter });
  }
}
