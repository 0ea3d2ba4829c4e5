import assert from "node:assert/strict";
import test from "node:test";

import { Client } from "../api";
import type { Group } from "../api";
import { emptyDraft, putGroup } from "../model/draft";
import type { Draft } from "../model/draft";
import { apply, changeOf, refresh } from "./apply";

const web: Group = { name: "web", rules: [] };
const mine = putGroup(emptyDraft, "web", web, { ...web, description: "mine" });

/** A server that answers by path. */
function serve(answers: Record<string, () => Response | Promise<Response>>) {
  const asked: Request[] = [];
  globalThis.fetch = async (url, init) => {
    asked.push(new Request(new URL(String(url), "http://it"), init));
    const path = String(url).split("?")[0] ?? "";
    return answers[path]?.() ?? new Response("{}", { status: 404 });
  };
  return asked;
}

test("what is written while a draft is put onto what is there is not lost", async () => {
  let draft: Draft = { ...mine, key: "k" };
  serve({ "/v1/status": () => Response.json({ generation: 9 }), "/v1/groups/web": () => {
    draft = { ...draft, message: "typed meanwhile" };
    return Response.json({ ...web, rules: [{ direction: "ingress", protocol: "any", group: "web" }] });
  } });
  const changed = await refresh(new Client(""), draft, undefined, (how) => { draft = how(draft); });
  assert.deepEqual(changed, ["group web"]);
  assert.equal(draft.message, "typed meanwhile");
  assert.equal(draft.generation, 9);
  assert.equal(draft.key, undefined, "another change than was sent");
  assert.equal(draft.groups.web?.after?.description, "mine");
  assert.equal(draft.groups.web?.after?.rules?.length, 1);
  await refresh(new Client(""), { ...draft, key: "l" }, undefined, (how) => {
    draft = how({ ...draft, key: "l" });
  });
  assert.equal(draft.key, "l", "the same attempt, as nobody has changed the same");
});

test("a new group is looked for without a 404, and one that is gone is told", async () => {
  let draft = putGroup(mine, "new", null, { name: "new", rules: [] });
  const asked = serve({ "/v1/status": () => Response.json({ generation: 2 }),
    "/v1/groups": () => Response.json({ items: [] }) });
  await refresh(new Client(""), draft, undefined, (how) => { draft = how(draft); });
  assert.ok(!asked.some((r) => new URL(r.url).pathname === "/v1/groups/new"));
  assert.deepEqual(draft.conflicts.map((c) => [c.name, c.theirs]), [["web", "removed"]]);
});

test("each answer to a change has its own way on", async () => {
  const keyed = { ...mine, key: "k" };
  const outcome = async (answer: () => Response | Promise<Response>) => {
    const asked = serve({ "/v1/changes": answer });
    const out = await apply(new Client(""), keyed, true);
    assert.equal(asked[0]?.headers.get("Idempotency-Key"), "k");
    return out.kind;
  };
  const problem = (status: number) => () => new Response('{"detail":"no"}', { status });
  assert.equal(await outcome(() => Response.json({ generation: 3 })), "done");
  assert.equal(await outcome(problem(412)), "overtaken");
  assert.equal(await outcome(problem(422)), "refused");
  for (const status of [401, 502, 503]) assert.equal(await outcome(problem(status)), "unknown");
  assert.equal(await outcome(() => Promise.reject(new TypeError())), "unknown");
  assert.equal(await outcome(() => new Response('{"gener', { headers: {
    "Content-Type": "application/json" } })), "unknown", "an answer that is cut off");
});

test("a trial is only asked for by whom it is open to", () => {
  assert.equal(changeOf(mine, true).confirm, "60s");
  assert.equal(changeOf(mine, false).confirm, undefined);
  assert.equal(changeOf({ ...mine, confirm: false }, true).confirm, undefined);
  assert.equal(changeOf(mine, true).message, "group web");
});
