import assert from "node:assert/strict";
import { test } from "node:test";

import { endText, manyText, peersText, whole } from "./types";

test("answers that are known, and others, are told apart", () => {
  assert.ok(whole({ from: "a", to: "b", service: "any", verdict: "denied", routes: [] }));
  assert.ok(whole([]));
  for (const other of [null, undefined, 7, "text", {}, { verdict: 1 }]) {
    assert.equal(whole(other), undefined);
  }
});

test("ends and many ends in words", () => {
  assert.equal(endText({ instance: "web-1", address: "203.0.113.11" }), "web-1 203.0.113.11");
  assert.equal(endText({ address: "1.0.0.0", network: "0.0.0.0/0" }), "0.0.0.0/0");
  assert.equal(manyText({ instances: 3, names: ["a", "b"] }), "a, b and 1 more");
  assert.equal(peersText([{ address: "1.1.1.1" }, { instance: "a", address: "x" },
    { instance: "a", address: "y" }]), "1.1.1.1, a");
});
