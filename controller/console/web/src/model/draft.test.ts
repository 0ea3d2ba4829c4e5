import assert from "node:assert/strict";
import test from "node:test";

import type { Group, Instance, Rule } from "../api/types";
import { bodyOf, emptyDraft, groupIn, messageOf, putGroup, putInstance, sizeOf, told,
  withoutApplied } from "./draft";
import { Drafts, keepDraft, readDraft } from "../draft/store";

const http: Rule = { id: "1", direction: "ingress", protocol: "tcp", ports: "80", cidr: "0.0.0.0/0" };
const web: Group = { id: "g", name: "web", members: 3, shared: true, rules: [http] };

test("an edit that is taken back leaves no draft", () => {
  let d = putGroup(emptyDraft, "web", web, { ...web, rules: [] });
  assert.equal(sizeOf(d), 1);
  d = putGroup(d, "web", web, { ...web, rules: [{ ...http, id: undefined, ports: 80 }] });
  assert.equal(sizeOf(d), 0, "the same rule, written otherwise");
});

test("the first state counts as before, however often an object is edited", () => {
  let d = putGroup(emptyDraft, "web", web, { ...web, description: "a" });
  d = putGroup(d, "web", { ...web, description: "a" }, { ...web, description: "b" });
  assert.equal(d.groups.web?.before?.description, undefined);
  assert.equal(groupIn(d, "web", web)?.description, "b");
});

test("the change that it makes has what is written, and nothing of what the server keeps", () => {
  let d = putGroup(emptyDraft, "web", web, { ...web, description: "public" });
  d = putGroup(d, "old", { name: "old", rules: [] }, null);
  d = putInstance(d, "web-1", { name: "web-1" }, { name: "web-1", groups: ["web"], ports: [] });
  const body = bodyOf({ ...d, generation: 7, message: "ticket 1" });
  assert.deepEqual(body.put?.groups, [{ name: "web", description: "public", shared: true,
    rules: [{ direction: "ingress", protocol: "tcp", ports: "80", cidr: "0.0.0.0/0" }] }]);
  assert.deepEqual(body.remove, { groups: ["old"], instances: [] });
  assert.equal(body.put?.instances?.length, 1);
  assert.equal(body.generation, 7);
  assert.equal(body.message, "ticket 1");
});

test("what was made and thrown away in the draft is not removed at the server", () => {
  let d = putGroup(emptyDraft, "new", null, { name: "new", rules: [http] });
  assert.deepEqual(told(d)[0]?.lines[0], { sign: "+", text: "new group" });
  d = putGroup(d, "new", null, null);
  assert.equal(sizeOf(d), 0);
});

test("it is told in words, and has a message of its own", () => {
  const ssh: Rule = { direction: "ingress", protocol: "tcp", ports: "22", group: "ops" };
  const before: Instance = { name: "web-1", groups: ["web"], host: "hv1" };
  let d = putGroup(emptyDraft, "web", web, { ...web, rules: [ssh] });
  d = putInstance(d, "web-1", before, { ...before, groups: ["web", "ops"], host: "hv2" });
  assert.deepEqual(told(d), [
    { kind: "groups", name: "web", lines: [
      { sign: "-", text: "ingress tcp 80 from 0.0.0.0/0" },
      { sign: "+", text: "ingress tcp 22 from group ops" }] },
    { kind: "instances", name: "web-1", lines: [
      { sign: "+", text: "member of ops" }, { sign: "~", text: "host: hv1 → hv2" }] },
  ]);
  assert.equal(messageOf(d), "group web, instance web-1");
});

/** A storage as of a tab. */
function storage() {
  const of = new Map<string, string>();
  return { getItem: (k: string) => of.get(k) ?? null, removeItem: (k: string) => { of.delete(k); },
    setItem: (k: string, v: string) => { of.set(k, v); }, of };
}

test("a draft outlives the page, each scope has its own, and a damaged one is none", () => {
  const kept = storage(), first = new Drafts(kept);
  let heard = 0;
  first.listen(() => { heard++; });
  first.change("shop", (d) => putGroup(d, "web", web, null));
  assert.equal(heard, 1);
  const again = new Drafts(kept);
  assert.equal(sizeOf(again.get("shop")), 1);
  assert.equal(sizeOf(again.get("")), 0);
  again.change("shop", (d) => putGroup(d, "web", web, web));
  assert.equal(kept.of.size, 0, "an empty draft is not kept");
  kept.setItem("portcullis-draft:", "{\"groups\":");
  assert.deepEqual(readDraft(kept, ""), emptyDraft);
  keepDraft(kept, "", emptyDraft);
  assert.equal(kept.of.size, 0);
});

test("what is written while a draft is applied stays in the draft, on top of it", () => {
  const web = (description?: string): Group => ({ name: "web", description, rules: [] });
  const sent = putGroup({ ...emptyDraft, message: "why", key: "k" }, "web", web(), web("one"));
  const other = putGroup(sent, "db", null, { name: "db", rules: [] });
  const left = withoutApplied(putGroup(other, "web", web(), web("two")), sent);
  assert.deepEqual(Object.keys(left.groups).sort(), ["db", "web"]);
  assert.equal(left.groups.web?.before?.description, "one");
  assert.equal(left.groups.web?.after?.description, "two");
  assert.equal(left.key, undefined);
  assert.equal(sizeOf(withoutApplied(sent, sent)), 0);
});
