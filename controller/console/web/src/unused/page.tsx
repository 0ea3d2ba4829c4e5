// Rules that have admitted nothing, since when that is known, and on how many hosts. A rule is never
// told to be unused alone. The route /unused shows it.

import { useState } from "preact/hooks";

import type { UnusedRule } from "../api";
import { useApp, useAsk } from "../app";
import { Empty, Failure, MissingHosts, Waiting } from "../ui/notice";
import { Filter } from "../ui/field";
import { Table } from "../ui/table";
import type { Column } from "../ui/table";
import { Age } from "../ui/time";
import { GroupLink } from "../ui/words";
import { knownText, matching } from "./words";

const pageSize = 1000;
const mostPages = 40;

export default function UnusedPage() {
  const { client, generation } = useApp();
  const [filter, setFilter] = useState("");
  const asked = useAsk(async (s) => {
    let after = "";
    const items: UnusedRule[] = [];
    for (let page = 1; ; page++) {
      const part = await client.unused({ limit: pageSize, after }, s);
      items.push(...part.items);
      if (!part.next || page === mostPages) {
        return { items, missing: part.missing ?? [], more: Boolean(part.next),
          onAll: part.on_all_hosts };
      }
      after = part.next;
    }
  }, [client, generation]);
  return (
    <div class="stack wide">
      <header class="stack">
        <h1>Unused rules</h1>
        <p class="prose dim">These rules have admitted no packets since the time shown; nothing was
          counted before it. A rule may be there for a rare event: check before you remove it.</p>
      </header>
      {asked.error && <Failure error={asked.error} what="load the counters" again={asked.again} />}
      {asked.data === undefined ? !asked.error && <Waiting what="counters" /> : (
        <>
          <MissingHosts list={asked.data.missing} />
          {asked.data.items.length === 0 ? <Empty title="No unused rules">
            <p>Every rule has admitted packets.</p></Empty> : (
            <>
              <Filter label="Filter" value={filter} set={setFilter}
                placeholder="Filter: group or rule" />
              <Table name="Unused rules" rows={matching(asked.data.items, filter)}
                columns={columnsOf(asked.data.onAll)} keyOf={(r) => `${r.group}\n${r.id}`}
                sort={{ column: 2, down: false }} />
              {asked.data.more && <p class="dim">Only the first {asked.data.items.length} are shown.</p>}
            </>
          )}
        </>
      )}
    </div>
  );
}

const columnsOf = (onAll: boolean): Column<UnusedRule>[] => [
  { title: "Group", by: (r) => r.group, cell: (r) => <GroupLink name={r.group} /> },
  { title: "Rule", by: (r) => r.rule, cell: (r) => <code>{r.rule}</code> },
  { title: "No hits since", by: (r) => r.since ?? "~",
    cell: (r) => r.since ? <Age at={r.since} /> : <span class="dim">not known</span> },
  { title: "Counted", by: (r) => knownText(r, onAll), wide: true,
    cell: (r) => knownText(r, onAll) },
];
