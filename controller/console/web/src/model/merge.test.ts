import assert from "node:assert/strict";
import test from "node:test";

import type { Group, Instance, Rule } from "../api/types";
import { emptyDraft, putGroup, putInstance, sizeOf } from "./draft";
import type { Draft } from "./draft";
import { decide, mergeSets, rebase } from "./merge";

const rule = (port: number): Rule =>
  ({ direction: "ingress", protocol: "tcp", ports: String(port), cidr: "0.0.0.0/0" });
const group = (...ports: number[]): Group => ({ name: "web", rules: ports.map(rule) });
const portsOf = (d: Draft) => d.groups.web?.after?.rules?.map((r) => r.ports).sort();

const onGroup = (d: Draft, now: Group | null) =>
  rebase(d, { generation: 9, groups: { web: now }, instances: {} });

test("two edits of one group are joined: nothing of either is lost", () => {
  const mine = putGroup(emptyDraft, "web", group(80, 22), group(80, 443)); // - 22, + 443
  const { draft, changed } = onGroup(mine, group(80, 22, 25)); // + 25
  assert.deepEqual(portsOf(draft), ["25", "443", "80"]);
  assert.deepEqual(draft.groups.web?.before?.rules?.length, 3, "of what is there now");
  assert.deepEqual(changed, ["group web"]);
  assert.deepEqual(draft.conflicts, []);
  assert.equal(draft.generation, 9);
});

test("sets are joined by any two edits: what either put in is in, what either took out is out", () => {
  const all = "abcdefgh".split("");
  for (let n = 0; n < 500; n++) {
    const [before = [], mine = [], theirs = []] = [0, 1, 2].map(() =>
      all.filter(() => Math.random() < 0.5));
    const merged = mergeSets(before, mine, theirs, (v) => v);
    for (const v of all) {
      const [b, m, t] = [before, mine, theirs].map((l) => l.includes(v));
      assert.equal(merged.includes(v), m === b ? t : m, `${v} of ${[before, mine, theirs].join(" | ")}`);
    }
    assert.equal(new Set(merged).size, merged.length);
  }
});

test("the same edit of two people leaves nothing to apply", () => {
  const mine = putGroup(emptyDraft, "web", group(80), group(80, 443));
  assert.equal(sizeOf(onGroup(mine, group(80, 443)).draft), 0);
});

test("a change of others elsewhere changes nothing of the draft, and is not told", () => {
  const mine = putGroup(emptyDraft, "web", group(80), group(443));
  const { draft, changed } = onGroup(mine, group(80));
  assert.deepEqual(changed, []);
  assert.deepEqual(portsOf(draft), ["443"]);
});

test("a value that both changed is decided by a person", () => {
  const before = { ...group(80), description: "old" };
  const mine = putGroup(emptyDraft, "web", before, { ...before, description: "mine" });
  const { draft } = onGroup(mine, { ...before, description: "theirs", rules: [rule(1)] });
  const [conflict] = draft.conflicts;
  assert.deepEqual(conflict, { kind: "groups", name: "web", field: "description", mine: "mine",
    theirs: "theirs" });
  assert.ok(conflict);
  assert.equal(decide(draft, conflict, "mine").groups.web?.after?.description, "mine");
  const theirs = decide(draft, conflict, "theirs");
  assert.equal(theirs.groups.web?.after?.description, "theirs");
  assert.equal(theirs.conflicts.length, 0);
  assert.deepEqual(theirs.groups.web?.after?.rules, [rule(1)]);
});

test("taken out there and changed here, and the other way round, is decided by a person", () => {
  const changed = putGroup(emptyDraft, "web", group(80), group(443));
  const gone = onGroup(changed, null).draft;
  assert.equal(gone.conflicts[0]?.theirs, "removed");
  assert.equal(sizeOf(decide(gone, gone.conflicts[0]!, "theirs")), 0);
  assert.deepEqual(portsOf(decide(gone, gone.conflicts[0]!, "mine")), ["443"]);
  const removed = putGroup(emptyDraft, "web", group(80), null);
  const both = onGroup(removed, group(80, 25)).draft;
  assert.equal(both.conflicts[0]?.mine, "removed");
  assert.equal(both.groups.web?.after, null);
});

test("a group that two people make is joined", () => {
  const mine = putGroup(emptyDraft, "web", null, group(80));
  assert.deepEqual(portsOf(onGroup(mine, group(443)).draft), ["443", "80"]);
});

test("an instance that others have moved keeps the move, and the groups of both", () => {
  const before: Instance = { name: "i", host: "hv1", groups: ["a"], ports: [{ name: "p", mac: "m" }] };
  const mine = putInstance(emptyDraft, "i", before, { ...before, groups: ["a", "b"] });
  const { draft } = rebase(mine, { generation: 2, groups: {}, instances: {
    i: { ...before, host: "hv2", groups: ["c"] } } });
  assert.equal(draft.instances.i?.after?.host, "hv2");
  assert.deepEqual(draft.instances.i?.after?.groups?.sort(), ["b", "c"]);
  assert.deepEqual(draft.conflicts, []);
});

test("a port that both changed is a conflict, and a port that one took out is out", () => {
  const before: Instance = { name: "i", ports: [{ name: "p", mac: "1" }, { name: "q", mac: "2" }] };
  const mine = putInstance(emptyDraft, "i", before, { name: "i", ports: [{ name: "p", mac: "3" }] });
  const { draft } = rebase(mine, { generation: 2, groups: {}, instances: {
    i: { name: "i", ports: [{ name: "p", mac: "4" }, { name: "q", mac: "2" }] } } });
  assert.deepEqual(draft.instances.i?.after?.ports, [{ name: "p", mac: "3" }]);
  assert.equal(draft.conflicts[0]?.field, "port p");
});

test("a port that both have changed becomes theirs, and nothing else of the edit is lost", () => {
  const port = (mac: string) => ({ name: "tap-1", mac });
  const was: Instance = { name: "web-1", groups: ["web"], ports: [port("02:00:00:00:00:01")] };
  const mine = putInstance(emptyDraft, "web-1", was, { ...was, groups: ["web", "ops"],
    ports: [port("02:00:00:00:00:02")] });
  const { draft } = rebase(mine, { generation: 9, groups: {}, instances: { "web-1": { ...was,
    ports: [port("02:00:00:00:00:03")] } } });
  assert.equal(draft.conflicts.length, 1);
  const { after } = decide(draft, draft.conflicts[0]!, "theirs").instances["web-1"]!;
  assert.deepEqual(after?.groups, ["web", "ops"]);
  assert.deepEqual(after?.ports, [port("02:00:00:00:00:03")]);
});

test("what this draft itself has made of an object is no change by somebody else", () => {
  const mine = putGroup(emptyDraft, "web", group(80), group(80, 443));
  const { draft, changed } = onGroup(mine, group(80, 443));
  assert.deepEqual(changed, []);
  assert.equal(sizeOf(draft), 0);
});
