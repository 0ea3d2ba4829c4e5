// The entry of the console: /main.js of index.html. It draws the page that the address names into
// #app.

import "./main.css";

import type { ComponentType } from "preact";
import { render } from "preact";

import { find } from "./router";
import { routes } from "./routes";

/** show draws the page of a path. */
async function show(path: string): Promise<void> {
  const target = document.getElementById("app");
  if (target === null) return;
  const found = find(routes, path);
  if (found === undefined) {
    render(<main><h1>Nothing is here</h1><p>There is no page at {path}.</p></main>, target);
    return;
  }
  const Page: ComponentType<{ params: Record<string, string> }> = (await found.route.load()).default;
  document.title = `${found.route.title} · Portcullis`;
  render(<Page params={found.params} />, target);
}

void show(location.pathname);
