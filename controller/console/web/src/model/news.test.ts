import assert from "node:assert/strict";
import test from "node:test";

import type { Change } from "../api";
import { News, isTakenBack } from "./news";
import type { Heard } from "./news";

function heard(): [News, Heard[]] {
  const all: Heard[] = [];
  return [new News((h) => all.push(h)), all];
}

test("the end of a trial is news, though no generation is made by it", () => {
  const [news, all] = heard();
  news.asked()({ generation: 5, on_trial: 5 });
  news.asked()({ generation: 5, on_trial: 5 });
  news.asked()({ generation: 5 });
  assert.deepEqual(all, [{ generation: 5, trial: 5 }, { generation: 5, trial: 0 }]);
  news.trial(6);
  news.trial(undefined);
  assert.deepEqual(all.slice(2).map((h) => h.trial), [6, 0]);
});

test("what was asked for before something was told does not bring back a trial that is over", () => {
  const [news, all] = heard();
  news.trial(5);
  const late = news.asked();
  news.trial(undefined);
  late({ generation: 7, on_trial: 5 });
  assert.deepEqual(all.at(-1), { generation: 7, trial: 0 });
});

test("generations only grow", () => {
  const [news, all] = heard();
  news.change(7);
  news.asked()({ generation: 6 });
  assert.deepEqual(all, [{ generation: 7, trial: 0 }]);
});

test("a trial goes on while changes are beside it, and is over with the first that is not", () => {
  const change = (generation: number, of: Partial<Change> = {}): Change => ({ generation, at: "",
    by: "", from: "", summary: "", lines: [], ...of });
  const tried = change(5, { confirm_by: "2026-01-01T12:00:00Z" });
  assert.ok(!isTakenBack(tried, [change(6, { beside: 5 }), tried, change(4)]));
  assert.ok(isTakenBack(tried, [change(7), change(6, { beside: 5 }), tried, change(4)]));
  assert.ok(!isTakenBack(change(5), [change(6), change(5)]), "it was confirmed");
});
