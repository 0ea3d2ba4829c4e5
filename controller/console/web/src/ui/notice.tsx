// What a page says in place of what it cannot show: that it waits, that there is nothing yet, that
// something went wrong and what to do. Pages call this.

import type { ComponentChildren } from "preact";

import { Problem, isAway } from "../api";
import type { Missing, Who } from "../api";

/** A box of words. kind also says it to people who see no colours: it is the first word. */
export function Notice({ kind = "info", title, children, live }: {
  kind?: "info" | "good" | "warn" | "bad"; title?: string; children?: ComponentChildren;
  live?: boolean;
}) {
  return (
    <div class={`notice ${kind}`} role={kind === "bad" ? "alert" : live ? "status" : undefined}>
      <span class="notice-mark" aria-hidden="true">
        {{ info: "i", good: "✓", warn: "!", bad: "✕" }[kind]}
      </span>
      <div class="stack grow">
        {title && <strong>{title}</strong>}
        {children}
      </div>
    </div>
  );
}

/** What went wrong, and the way out. what is what was tried: "load the groups". */
export function Failure({ error, again, what }: {
  error: unknown; again?: () => void; what: string;
}) {
  const p = error instanceof Problem ? error : undefined;
  const text = p?.message ?? (error instanceof Error ? error.message : String(error));
  if (p?.status === 403) {
    return <Notice kind="warn" title={`No permission to ${what}`}><p>{text}</p></Notice>;
  }
  return (
    <Notice kind="bad" title={isAway(error) ? "The server is not responding" : `Could not ${what}`}>
      <p>{text}</p>
      <Mistakes of={p} />
      {p?.request && <p class="small dim">Request in the server log: <code>{p.request}</code>.</p>}
      {again && <div><button type="button" onClick={again}>Try again</button></div>}
    </Notice>
  );
}

/** What somebody of one project is told of pages that are of no project. */
export const NotOfProjects = ({ what, who }: { what: string; who: Who }) => (
  <div class="stack">
    <h1>{what}</h1>
    <Notice kind="warn" title="No permission">
      <p>{what} cover all projects, and you have access to project {who.project} only.
        Go to <a href="/">your groups</a>.</p>
    </Notice>
  </div>
);

/** A long list that has changed since it was had. */
export const Old = ({ of, what }: { of: { isOld: boolean; again: () => void }; what: string }) =>
  of.isOld ? (
    <Notice title={`The list of ${what} has changed`} live>
      <div><button type="button" onClick={of.again}>Reload</button></div>
    </Notice>
  ) : null;

/** Each mistake of several, with its place. */
export function Mistakes({ of }: { of: Problem | undefined }) {
  if (!of || of.mistakes.length < 2) return null;
  return (
    <ul>{of.mistakes.map((m) => (
      <li key={m.location + m.message}>
        {m.message} {m.location && <code class="dim">{m.location}</code>}
      </li>
    ))}</ul>
  );
}

/** Nothing is here yet, and what the next step is. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty stack">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

/** Something is on its way; it says so only when it takes long. */
export function Waiting({ what }: { what: string }) {
  return (
    <div class="waiting" role="status">
      <span class="waiting-bar" aria-hidden="true" />
      <span>Loading {what} …</span>
    </div>
  );
}

/** Hosts that did not answer: the rest is shown. */
export function MissingHosts({ list }: { list: Missing[] | undefined }) {
  if (!list?.length) return null;
  const one = list.length === 1;
  const all = <ul>{list.slice(0, 50).map((m, n) => (
    <li key={n}><strong>{m.host || "a host"}</strong>: {m.why}</li>
  ))}{list.length > 50 && <li>and {list.length - 50} more</li>}</ul>;
  return (
    <Notice kind="warn" title={`${list.length} ${one ? "host" : "hosts"} did not answer`}>
      <p>Only what the other hosts answered is shown.</p>
      {list.length > 3 ? <details><summary>Details</summary>{all}</details> : all}
    </Notice>
  );
}
