// The address: pages are gone to without a load of the page, and the project is part of it. The
// shell and links call this.

import { useEffect, useState } from "preact/hooks";

const changed = new EventTarget();

/** Goes to a path of the console; the project that is chosen goes along. */
export function go(path: string, how: "push" | "replace" = "push"): void {
  const to = new URL(path, location.href);
  const project = new URLSearchParams(location.search).get("project");
  if (project !== null && !to.searchParams.has("project")) {
    to.searchParams.set("project", project);
  }
  if (to.searchParams.get("project") === "") to.searchParams.delete("project");
  history[how === "push" ? "pushState" : "replaceState"](null, "", to);
  changed.dispatchEvent(new Event("go"));
}

/** The path and the query of the page, current. */
export function useAddress(): URL {
  const [at, set] = useState(location.href);
  useEffect(() => {
    const hear = () => set(location.href);
    changed.addEventListener("go", hear);
    addEventListener("popstate", hear);
    return () => {
      changed.removeEventListener("go", hear);
      removeEventListener("popstate", hear);
    };
  }, []);
  return new URL(at);
}

/** Whether a click on a link is one that the console follows itself. */
function isOwn(e: MouseEvent, a: HTMLAnchorElement): boolean {
  return !e.defaultPrevented && e.button === 0 && !e.metaKey && !e.ctrlKey && !e.shiftKey &&
    !e.altKey && a.target === "" && !a.hasAttribute("download") && a.origin === location.origin &&
    !/^\/(v1|v2|auth|openapi|docs)(\/|$|\.)/.test(a.pathname);
}

/** Follows links without loads. */
export function followLinks(): () => void {
  const click = (e: MouseEvent) => {
    const a = (e.target as Element | null)?.closest?.("a[href]");
    if (!(a instanceof HTMLAnchorElement) || !isOwn(e, a)) return;
    if (a.hash && a.pathname === location.pathname && a.search === location.search) return;
    e.preventDefault();
    go(a.pathname + a.search + a.hash);
  };
  addEventListener("click", click);
  return () => removeEventListener("click", click);
}

/** The addresses of objects. */
export const at = {
  group: (name: string) => `/groups/${encodeURIComponent(name)}`,
  instance: (name: string) => `/instances/${encodeURIComponent(name)}`,
  change: (generation: number) => `/history/${generation}`,
  why: (from: string, to: string, service: string) =>
    "/why?" + new URLSearchParams({ from, to, service }).toString(),
};
