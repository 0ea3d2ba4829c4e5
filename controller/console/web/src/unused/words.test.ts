import assert from "node:assert/strict";
import { test } from "node:test";

import { knownText, matching } from "./words";

const since = "2026-11-01T00:00:00Z";

test("a rule is never said to be unused alone", () => {
  assert.equal(knownText({ hosts: 3, since }, true), "on all hosts");
  assert.equal(knownText({ hosts: 2, since }, false),
    "on 2 hosts; others did not answer");
  assert.match(knownText({ hosts: 0 }, true), /^not known/);
  assert.match(knownText({ hosts: 2 }, true), /^not known/);
});

test("rules are found by their group and by their words", () => {
  const list = [{ group: "web", rule: "ingress tcp 22 from group Office" },
    { group: "db", rule: "ingress tcp 3306 from group web" }];
  assert.equal(matching(list, "office").length, 1);
  assert.equal(matching(list, "WEB").length, 2);
  assert.equal(matching(list, " ").length, 2);
});
