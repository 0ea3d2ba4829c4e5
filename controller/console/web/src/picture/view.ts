// What is shown of a policy, as it stands in the address: around which group, how far, what is put
// together, by which service. Pure; the page of the picture calls it.

import { admits, ofWords, parseAll } from "../diff/services";
import type { Services } from "../diff/services";
import { fold } from "./fold";
import type { Folding } from "./fold";
import { admitting } from "./graph";
import type { Arrow, Graph } from "./graph";
import { mostBoxes, neighbourhood } from "./neighbourhood";
import names from "./services.json";

export interface Shown {
  /** around is the id of a box; "" = the whole. */
  around: string;
  steps: 1 | 2;
  fold: Folding;
  /** open are folds that are opened. */
  open: string[];
  service: string;
  /** draft = what the draft changes, over the policy. */
  draft: boolean;
}

/** read reads the query of an address; group=web is short for around=g:web. */
export function read(query: string): Shown {
  const q = new URLSearchParams(query);
  const folding = q.get("fold");
  const group = q.get("group");
  return { around: q.get("around") ?? (group ? `g:${group}` : ""),
    steps: q.get("steps") === "2" ? 2 : 1,
    fold: folding === "project" || folding === "prefix" ? folding : "none",
    open: q.getAll("open"), service: q.get("service") ?? "", draft: q.get("draft") === "true" };
}

/** address is the path of what is shown. */
export function address(s: Shown): string {
  const q = new URLSearchParams();
  if (s.around.startsWith("g:")) q.set("group", s.around.slice(2));
  else if (s.around !== "") q.set("around", s.around);
  if (s.around !== "" && s.steps === 2) q.set("steps", "2");
  if (s.fold !== "none") q.set("fold", s.fold);
  for (const key of s.open) q.append("open", key);
  if (s.service !== "") q.set("service", s.service);
  if (s.draft) q.set("draft", "true");
  const text = q.toString();
  return text === "" ? "/picture" : `/picture?${text}`;
}

/** What is drawn, or what has to be chosen first. */
export interface Part {
  graph: Graph;
  /** out are how many boxes had no room. */
  out: number;
  /** tooMany = nothing is drawn: there are so many boxes, and nothing is chosen. */
  tooMany: number;
}

/** asked is what a filter asks for; undefined = everything; null = it cannot be read. */
export function asked(service: string) {
  if (service.trim() === "") return undefined;
  return parseAll(service, names) ?? null;
}

/** having says of arrows whether they have some of what is asked for. Thousands say the same in the
 *  same words: these are read once. */
function having(asked: Services): (a: Arrow) => boolean {
  const known = new Map<string, boolean>();
  return ({ services }) => {
    const key = services.join("\n");
    const is = known.get(key) ?? admits(ofWords(services), asked);
    known.set(key, is);
    return is;
  };
}

/** partOf is the part of a graph that is shown. */
export function partOf(whole: Graph, s: Shown): Part {
  const services = asked(s.service);
  const filtered = services ? admitting(whole, having(services)) : whole;
  const folded = fold(filtered, s.fold, new Set(s.open));
  if (s.around !== "") {
    const near = neighbourhood(folded, s.around, s.steps);
    return { graph: near, out: near.out, tooMany: 0 };
  }
  if (folded.boxes.length > mostBoxes) {
    return { graph: { boxes: [], arrows: [] }, out: 0, tooMany: folded.boxes.length };
  }
  return { graph: folded, out: 0, tooMany: 0 };
}

/** foldedEnough says by what groups could be put together so that the whole can be drawn. */
export function foldedEnough(whole: Graph): Folding | undefined {
  return (["project", "prefix"] as const)
    .find((by) => fold(whole, by).boxes.length <= mostBoxes);
}
