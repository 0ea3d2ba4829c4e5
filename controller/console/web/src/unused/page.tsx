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
        <h1>Rules without hits</h1>
        <p class="prose dim">Each has admitted no packet since the time that is told. Before that
          nobody counted, and a rule may be for a day that has not come: look before you remove it.</p>
      </header>
      {asked.error && <Failure error={asked.error} what="counts" again={asked.again} />}
      {asked.data === undefined ? !asked.error && <Waiting what="what the hosts have counted" /> : (
        <>
          <MissingHosts list={asked.data.missing} />
          {asked.data.items.length === 0 ? <Empty title="Every rule has admitted something">
            <p>Nothing is to be cleared up here. A rule that is new is here from its first minute
              on.</p></Empty> : (
            <>
              <Filter label="Filter" value={filter} set={setFilter}
                placeholder="part of a group or a rule" />
              <Table name="Rules without hits" rows={matching(asked.data.items, filter)}
                columns={columnsOf(asked.data.onAll)} keyOf={(r) => `${r.group}\n${r.id}`}
                sort={{ column: 2, down: false }} />
              {asked.data.more && <p class="dim">There are more; these are the first.</p>}
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
  { title: "No packet since", by: (r) => r.since ?? "~",
    cell: (r) => r.since ? <Age at={r.since} /> : <span class="dim">not known</span> },
  { title: "Where that is known", by: (r) => knownText(r, onAll), wide: true,
    cell: (r) => knownText(r, onAll) },
];
