import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import test from "node:test";

import { Client, Problem, isAborted, isAway } from "../api";
import { pathOf } from "./request";
import { EventReader, backOff } from "./sse";
import type { SentEvent } from "./sse";

test("events are read from pieces of any size, and a broken one is not handed on", () => {
  const text = ": alive\n\nevent: change\nid: 7\ndata: {\"a\":\ndata: 1}\n\nid: 8\ndata: x\r\n\r\n" +
    "data: half";
  for (const size of [1, 2, 5, 1000]) {
    const heard: SentEvent[] = [];
    const reader = new EventReader((e) => heard.push(e));
    for (let n = 0; n < text.length; n += size) reader.push(text.slice(n, n + size));
    assert.deepEqual(heard, [{ kind: "change", id: "7", data: "{\"a\":\n1}" },
      { kind: "message", id: "8", data: "x" }]);
    assert.equal(reader.id, "8");
  }
});

test("attempts come later and later, at most half a minute and a bit apart", () => {
  assert.ok(backOff(0, 0) < backOff(3, 0) && backOff(3, 0) < backOff(5, 0));
  assert.ok(backOff(99, 1) <= 37_500);
});

test("names are one segment of a path, whatever is in them", () => {
  assert.equal(new Client("a/b").base, "/v1/projects/a%2Fb");
  assert.equal(pathOf("/x", { q: "a b&c", after: "", limit: undefined, n: 0 }), "/x?q=a+b%26c&n=0");
});

/** A fetch that answers once, and notes what it was asked. */
function answer(response: () => Response | Promise<Response>) {
  const asked: { url: string; init: RequestInit }[] = [];
  globalThis.fetch = async (url, init) => {
    asked.push({ url: String(url), init: init ?? {} });
    return response();
  };
  return asked;
}

test("a write has its key and its conditions, and no answer is a problem of its own", async () => {
  const asked = answer(() => Response.json({ generation: 3, changed: true }));
  const heard: string[] = [];
  const client = new Client("shop", (e) => heard.push(e));
  assert.equal((await client.apply({ generation: 2 }, "k")).generation, 3);
  assert.equal(asked[0]?.url, "/v1/projects/shop/changes");
  assert.equal(new Headers(asked[0]?.init.headers).get("Idempotency-Key"), "k");
  answer(() => Promise.reject(new TypeError("network")));
  await assert.rejects(client.whoami(), (e) => isAway(e) && !isAborted(e));
  answer(() => new Response('{"status":401,"detail":"who are you?"}', { status: 401 }));
  await assert.rejects(client.whoami(), (e) => e instanceof Problem && e.status === 401 &&
    e.message === "who are you?");
  answer(() => new Response("<html>", { status: 502 }));
  await assert.rejects(client.whoami(), (e) => isAway(e));
  assert.deepEqual(heard, ["answered", "away", "signed-out", "away"]);
});

test("what may not be there is found among names that hold its own, on whichever page", async () => {
  const pages = [{ items: [{ name: "a-web" }], next: "a-web" }, { items: [{ name: "web" }] }];
  const asked = answer(() => Response.json(pages[Math.min(asked.length, 2) - 1]));
  assert.equal((await new Client("").findGroup("web"))?.name, "web");
  assert.deepEqual(asked.map((a) => a.url), ["/v1/groups?q=web&limit=1000",
    "/v1/groups?q=web&limit=1000&after=a-web"]);
  pages[1] = { items: [{ name: "web2" }] };
  asked.length = 0;
  assert.equal(await new Client("").findGroup("web"), null);
});

test("a request that is given up is no problem", async () => {
  answer(() => Promise.reject(new DOMException("x", "AbortError")));
  const control = new AbortController();
  control.abort();
  await assert.rejects(new Client("").groups({}, control.signal), isAborted);
});

test("a stream that falls silent is given up and asked for anew", async (t) => {
  const real = globalThis.setTimeout;
  t.after(() => { globalThis.setTimeout = real; });
  globalThis.setTimeout = ((then: () => void, ms: number) =>
    real(then, Math.min(ms, 20))) as typeof setTimeout;
  const control = new AbortController();
  const states: string[] = [];
  const asked = answer(() => new Response(new ReadableStream({
    start: (c) => c.enqueue(new TextEncoder().encode(": still here\n\n")) })));
  const over = new Client("").stream("/denied", {}, { signal: control.signal, event: () => {},
    state: (now) => { states.push(now); if (now === "waiting") control.abort(); } });
  await over;
  assert.equal(asked.length, 1);
  assert.deepEqual(states, ["live", "waiting"]);
});

interface Schema { properties?: Record<string, Schema>; items?: Schema; $ref?: string }

test("the types are those of the description of the API", () => {
  let root = process.cwd();
  while (!existsSync(join(root, "go.mod"))) root = dirname(root);
  const types = readFileSync(join(root, "controller/console/web/src/api/types.ts"), "utf8");
  const document = JSON.parse(readFileSync(join(root, "docs/schema/openapi.json"), "utf8"));
  const schemas = document.components.schemas as Record<string, Schema>;
  const of = (name: string, path: string[] = []): string[] => path.reduce((s: Schema, key) => {
    const next = s.properties?.[key] ?? {};
    return next.items ?? next;
  }, schemas[name] ?? {}).properties ? Object.keys(path.reduce((s: Schema, key) => {
    const next = s.properties?.[key] ?? {};
    return next.items ?? next;
  }, schemas[name] ?? {}).properties ?? {}) : [];
  const same: Record<string, string[]> = { Done: of("Done"), Several: of("Several"),
    Change: of("Change"), Status: of("Status"), Trial: of("Trial"), OnTrial: of("Trial", ["trial"]),
    Fleet: of("Fleet"), Host: of("Fleet", ["hosts"]), Counters: of("Counters"),
    RuleCount: of("Counters", ["rules"]), PortCount: of("Counters", ["ports"]),
    Connections: of("Connections"), Connection: of("Connections", ["connections"]),
    Project: of("Project"), Token: of("Token"), Who: of("Who"), Suggested: of("Suggested"),
    Need: of("Suggested", ["needs"]), Cut: of("Plan", ["cut"]), AccessChange: of("Plan", ["loses"]),
    UnusedRule: of("Unused", ["items"]) };
  for (const [name, there] of Object.entries(same)) {
    assert.notEqual(there.length, 0, `the document has no ${name}`);
    const body = new RegExp(`export interface ${name}(?: extends [^{]*)? \\{\\n([\\s\\S]*?)\\n\\}`)
      .exec(types)?.[1] ?? "";
    const here = [...body.matchAll(/^ {2}(\w+)\??:/gm)].map((m) => m[1] ?? "");
    assert.deepEqual(here.filter((k) => !there.includes(k)), [], `${name}: the API has no such key`);
    assert.deepEqual(there.filter((k) => !here.includes(k)), [], `${name}: not in types.ts`);
  }
});
