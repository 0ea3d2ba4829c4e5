// The policy for pictures: all groups with their rules, page by page, of one generation. The pages
// of the picture and the matrix call it.

import type { Client, Group } from "../api";

export interface Policy {
  groups: Group[];
  generation: number;
}

const pageSize = 1000;

/** loadPolicy asks for all groups; seen is told how many are there already. */
export async function loadPolicy(client: Client, signal: AbortSignal,
  seen: (count: number) => void = () => {}): Promise<Policy> {
  for (let attempt = 1; ; attempt++) {
    const groups: Group[] = [];
    let generation: number | undefined;
    let isOne = true;
    for (let after = ""; ;) {
      const page = await client.groups({ limit: pageSize, after }, signal);
      isOne &&= generation === undefined || generation === page.generation;
      generation = page.generation ?? 0;
      groups.push(...page.items);
      seen(groups.length);
      if (!page.next) break;
      after = page.next;
    }
    // somebody may change it between two pages: then it is read again, but not for ever
    if (isOne || attempt === 3) return { groups, generation: generation ?? 0 };
  }
}

/** ownName is how a project calls what the policy has under a whole name. */
export function ownName(project: string, name: string): string {
  if (project === "" || name === "outside") return name;
  const prefix = project + "/";
  if (name.startsWith(prefix)) return name.slice(prefix.length);
  return name;
}
