// The changes: who changed what, the newest first. The route /history shows it.

import { useState } from "preact/hooks";

import type { Change } from "../api";
import { seesAll, useApp } from "../app";
import { at } from "../go";
import { fits } from "../model/list";
import { isTakenBack } from "../model/news";
import { Filter } from "../ui/field";
import { Empty, Failure, NotOfProjects, Old, Waiting } from "../ui/notice";
import { usePaged } from "../ui/paged";
import { Table } from "../ui/table";
import type { Column } from "../ui/table";
import { Age } from "../ui/time";
import { Mark } from "../ui/words";

const columns = (all: readonly Change[]): Column<Change>[] => [
  { title: "Generation", kind: "number", by: (c) => c.generation, width: "8em",
    cell: (c) => <a class="name" href={at.change(c.generation)}>{c.generation}</a> },
  { title: "When", by: (c) => c.at, cell: (c) => <Age at={c.at} />, width: "8em" },
  { title: "By", by: (c) => c.by, cell: (c) => c.by },
  { title: "Change", by: (c) => c.from, cell: (c) => <>{c.from}
    {c.confirm_by && <> <Mark kind="plain"
      text={isTakenBack(c, all) ? "rolled back" : "on trial"} /></>}</> },
  { title: "Access", wide: true, by: (c) => c.lines[0] ?? "",
    cell: (c) => <span class="cut dim" title={c.summary}>{c.lines[0]}</span> },
];

export default function HistoryPage() {
  const { who } = useApp();
  return seesAll(who) ? <Changes /> : <NotOfProjects what="Changes" who={who} />;
}

function Changes() {
  const { client, generation, trial } = useApp();
  const [filter, setFilter] = useState("");
  const list = usePaged((after, s) => client.changes({ limit: 200,
    before: after === "" ? undefined : Number(after) }, s), [client], `${generation} ${trial}`);
  const shown = list.rows.filter((c) => fits(`${c.generation} ${c.by} ${c.from} ${c.summary}`, filter));
  return (
    <div class="stack">
      <div class="row apart">
        <h1>History</h1>
        {list.rows.length > 5 && <Filter label="Filter changes" value={filter} set={setFilter}
          placeholder="Filter: a name, a group" />}
      </div>
      <Old of={list} what="changes" />
      {list.error ? <Failure error={list.error} what="load the history" again={list.again} />
        : list.rows.length === 0 ? list.busy ? <Waiting what="history" /> : (
          <Empty title="No changes yet">
            <p>Each change is listed with who made it, from where, and who gained or lost access.</p>
          </Empty>
        ) : shown.length === 0 ? <p>No changes match “{filter}”.</p>
        : <Table name="Changes" rows={shown} columns={columns(list.rows)} more={list.more}
            keyOf={(c) => String(c.generation)} />}
    </div>
  );
}
