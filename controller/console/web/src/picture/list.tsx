// The arrows of a picture as a table: the same, for who reads rather than looks. The page of the
// picture calls it.

import { Table } from "../ui/table";
import type { Column } from "../ui/table";
import type { Choice } from "./canvas";
import type { Arrow, Graph } from "./graph";

export function ArrowTable({ graph, choose }: {
  graph: Graph; choose: (c: Choice) => void;
}) {
  const names = new Map(graph.boxes.map((b) => [b.id, b.name]));
  const name = (id: string): string => names.get(id) ?? id;
  const columns: Column<Arrow>[] = [
    { title: "From", by: (a) => name(a.from), cell: (a) => name(a.from) },
    { title: "To", by: (a) => name(a.to), cell: (a) => name(a.to) },
    { title: "Services", by: (a) => a.services.join(", "),
      cell: (a) => <code>{a.services.join(", ")}</code> },
    { title: "Notes", by: (a) => a.state + (a.lacks ?? ""), wide: true, cell: told },
    { title: "Rules", by: (a) => a.said.length, kind: "number", cell: (a) => (
      <button type="button" class="bare" onClick={() => choose({ kind: "arrow", id: a.id })}
        aria-label={`Rules from ${name(a.from)} to ${name(a.to)}`}>{a.said.length}</button>
    ) },
  ];
  return <Table name="Arrows of the picture" rows={graph.arrows} columns={columns}
    keyOf={(a) => a.id} sort={{ column: 0, down: false }}
    classOf={(a) => ({ gained: "new", lost: "removed", changed: "changed", stays: "" })[a.state]} />;
}

function told(a: Arrow) {
  const lines = a.said.filter((s) => s.state !== "stays")
    .map((s) => `${s.state} ${s.words.join(", ")}`);
  if (a.lacks !== undefined) lines.push(`passes nothing: ${a.lacks}`);
  return lines.length === 0 ? <span class="dim">unchanged</span> : lines.join("; ");
}
