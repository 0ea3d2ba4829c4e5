import assert from "node:assert/strict";
import { test } from "node:test";

import { address, asking, isAsked, nothing, read, title } from "./question";
import type { Question } from "./question";

const q: Question = { ...nothing, from: "web-1", to: "db-1", service: "tcp/3306" };

test("a question is an address that people can read", () => {
  assert.equal(address(q), "/why?from=web-1&to=db-1&service=tcp/3306");
  assert.equal(address(nothing), "/why");
  assert.equal(address({ ...q, live: true }), "/why?from=web-1&to=db-1&service=tcp/3306&live=true");
});

test("every question is read back as it was, whatever the names", () => {
  for (const name of ["a b", "a&b=c", "acme/web", "#1", "100%", "数据库", "a+b", "x?y", "web-1@::1"]) {
    for (const one of [{ ...q, from: name }, { ...nothing, to: name, via: "router" }]) {
      const path = address(one);
      assert.deepEqual(read(path.slice("/why".length)), one, path);
      assert.ok(!/[\s#]/.test(path));
    }
  }
});

test("an end that is left out is asked for", () => {
  assert.equal(title(q), "Does web-1 reach db-1 by tcp/3306?");
  assert.equal(title({ ...q, from: "" }), "Who reaches db-1 by tcp/3306?");
  assert.equal(title({ ...q, to: "", service: "" }), "Whom does web-1 reach?");
  assert.ok(isAsked({ ...nothing, to: "db-1" }) && !isAsked({ ...nothing, service: "ssh" }));
  assert.deepEqual(asking({ ...q, from: "" }), { from: "any", to: "db-1",
    service: "tcp/3306", via: undefined, live: undefined });
});
