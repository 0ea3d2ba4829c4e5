// What is known of a rule that has admitted nothing. Pure; unused/page.tsx calls it.

import type { UnusedRule } from "../api/types";
import { count } from "../picture/text";

/** knownText says where nothing was admitted: never more than the hosts have said. */
export function knownText(r: Pick<UnusedRule, "hosts" | "since">, onAllHosts: boolean): string {
  if (!r.since || r.hosts === 0) return "not known: no host has it";
  if (onAllHosts) return "on all hosts";
  return `on ${count(r.hosts, "host")}; others did not answer`;
}

/** matching are rules whose group or words hold a text. */
export function matching<T extends { group: string; rule: string }>(list: readonly T[],
  text: string): T[] {
  const want = text.trim().toLowerCase();
  return list.filter((r) => `${r.group} ${r.rule}`.toLowerCase().includes(want));
}
