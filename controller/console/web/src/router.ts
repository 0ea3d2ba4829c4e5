// Paths and the pages that they name. It is pure: the shell asks it, and tests do.

import type { ComponentType } from "preact";

/** Params are the parts of a path that stand for {names}, decoded. */
export type Params = Record<string, string>;

/** Page is what a module of a page exports as its default. */
export type Page = ComponentType<{ params: Params }>;

/** Route is a page: its path, such as "/groups/{name}", its title, and how its code is had. */
export interface Route {
  path: string;
  title: string;
  load: () => Promise<{ default: Page }>;
}

/** find returns the route of a path with its parameters; undefined = there is none. */
export function find<R extends { path: string }>(
  routes: readonly R[], path: string,
): { route: R; params: Params } | undefined {
  for (const route of routes) {
    const params = match(route.path, path);
    if (params !== undefined) return { route, params };
  }
  return undefined;
}

/** match returns the parameters of a path that fits a pattern; undefined = it does not. */
export function match(pattern: string, path: string): Params | undefined {
  const want = pattern.split("/");
  const have = path.replace(/(.)\/$/, "$1").split("/");
  if (want.length !== have.length) return undefined;
  const params: Params = {};
  for (const [n, part] of want.entries()) {
    const is = have[n] ?? "";
    const name = /^\{(\w+)\}$/.exec(part)?.[1];
    if (name === undefined ? part !== is : is === "") return undefined;
    if (name === undefined) continue;
    const text = decoded(is);
    if (text === undefined) return undefined;
    params[name] = text;
  }
  return params;
}

/** decoded is a part of a path as people write it; undefined = it is damaged. */
function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}
