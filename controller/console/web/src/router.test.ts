import assert from "node:assert/strict";
import { test } from "node:test";

import { find, match } from "./router";

test("a path fits its pattern, and nothing else", () => {
  assert.deepEqual(match("/", "/"), {});
  assert.deepEqual(match("/groups/{name}", "/groups/acme%2Fweb"), { name: "acme/web" });
  assert.deepEqual(match("/groups/{name}", "/groups/a%20b/"), { name: "a b" });
  for (const path of ["/groups", "/groups/", "/groups/a/b", "/group/a", "/groups/%E0%A4%A"]) {
    assert.equal(match("/groups/{name}", path), undefined, path);
  }
});

test("the first route that fits counts", () => {
  const routes = [{ path: "/groups/new" }, { path: "/groups/{name}" }];
  assert.equal(find(routes, "/groups/new")?.route, routes[0]);
  assert.deepEqual(find(routes, "/groups/web"), { route: routes[1], params: { name: "web" } });
  assert.equal(find(routes, "/nothing"), undefined);
});
