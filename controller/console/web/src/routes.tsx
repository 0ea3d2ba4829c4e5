// The pages, one line each. Their code is had when they are opened.

import type { Route } from "./router";

export const routes: readonly Route[] = [
  { path: "/", title: "Groups", load: () => import("./pages/groups") },
  { path: "/groups/{name}", title: "Group", load: () => import("./pages/group") },
  { path: "/instances", title: "Instances", load: () => import("./pages/instances") },
  { path: "/instances/{name}", title: "Instance", load: () => import("./pages/instance") },
  { path: "/picture", title: "Reachability", load: () => import("./picture/page") },
  { path: "/matrix", title: "Matrix", load: () => import("./matrix/page") },
  { path: "/why", title: "Why?", load: () => import("./why/page") },
  { path: "/unused", title: "Unused rules", load: () => import("./unused/page") },
  { path: "/denied", title: "Denied", load: () => import("./pages/denied") },
  { path: "/hosts", title: "Hosts", load: () => import("./pages/hosts") },
  { path: "/history", title: "History", load: () => import("./pages/history") },
  { path: "/history/{generation}", title: "Change", load: () => import("./pages/change") },
  { path: "/access", title: "Access", load: () => import("./pages/access") },
  { path: "/draft", title: "Draft", load: () => import("./draft/page") },
];
