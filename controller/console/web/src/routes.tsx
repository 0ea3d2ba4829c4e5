// The pages, one line each. Their code is had when they are opened.

import type { Route } from "./router";

export const routes: readonly Route[] = [
  { path: "/", title: "Groups", load: () => import("./home/page") },
];
