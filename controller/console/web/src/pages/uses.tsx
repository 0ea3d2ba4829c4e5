// Who names a group in a rule. It is looked for when somebody asks, as all groups are read for it.
// pages/group.tsx shows it.

import { useState } from "preact/hooks";

import type { Client, Group, Rule } from "../api";
import { useApp, useAsk } from "../app";
import { counted } from "../model/list";
import { listOf } from "../model/rule";
import { Failure, Waiting } from "../ui/notice";
import { GroupLink, Service } from "../ui/words";

/** Every rule of another group that names this one. */
async function usesOf(client: Client, name: string, signal: AbortSignal) {
  const out: { group: Group; rule: Rule }[] = [];
  for (let after = ""; ;) {
    const page = await client.groups({ limit: 1000, after }, signal);
    for (const group of page.items) {
      if (group.name === name) continue;
      for (const rule of group.rules ?? []) {
        if (listOf(rule.group).includes(name)) out.push({ group, rule });
      }
    }
    if (!page.next) return out;
    after = page.next;
  }
}

export function Uses({ name }: { name: string; project: string }) {
  const [open, setOpen] = useState(false);
  return (
    <details class="card" onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary><h2>Used by</h2></summary>
      {open && <Found name={name} />}
    </details>
  );
}

function Found({ name }: { name: string }) {
  const { client, generation } = useApp();
  const uses = useAsk((s) => usesOf(client, name, s), [client, name, generation]);
  if (uses.error) return <Failure error={uses.error} what="load the groups" again={uses.again} />;
  if (!uses.data) return <Waiting what="all groups" />;
  if (uses.data.length === 0) return <p>No other group's rules use it.</p>;
  return (
    <div class="stack">
      <p>{counted(uses.data.length, "rule")} of other groups:</p>
      <ul class="plain">{uses.data.slice(0, 200).map(({ group, rule }, n) => (
        <li key={n} class="row"><GroupLink name={group.name} /> {rule.direction} <Service of={rule} />
          <span class="dim">{rule.direction === "ingress" ? "from" : "to"} {name}</span></li>
      ))}</ul>
    </div>
  );
}
