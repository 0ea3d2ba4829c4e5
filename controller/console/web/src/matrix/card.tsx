// The matrix with its filters, as a part of a page. The pages of the picture and of the matrix call
// it.

import { useMemo, useRef, useState } from "preact/hooks";

import { asked } from "../picture/view";
import type { Choice } from "../picture/canvas";
import { graphOf } from "../picture/graph";
import { keep } from "../picture/keep";
import type { Policy } from "../picture/load";
import { Filter } from "../ui/field";
import { Grid } from "./grid";
import { endsOf, meant } from "./lines";
import { csv } from "./table";
import type { Cell } from "./table";

export function MatrixCard({ policy, service, chosen, choose, note }: {
  policy: Policy; service: string; chosen: Choice | undefined;
  choose: (from: string, to: string) => void;
  /** note is told beside the title. */
  note?: string;
}) {
  const ends = useMemo(() => endsOf(policy.groups, graphOf(policy.groups)), [policy.groups]);
  const [from, setFrom] = useState("");
  const [to, setTo] = useState("");
  const rows = useMemo(() => meant(ends, from), [ends, from]);
  const columns = useMemo(() => meant(ends, to), [ends, to]);
  const cells = useRef<Cell[]>([]);
  const at = useRef<{ from: string; to: string }>();
  const isOf = chosen?.kind === "arrow" ? chosen.id.split("\n").map((id) => id.slice(2)) : undefined;
  const now = isOf !== undefined ? { from: isOf[0]!, to: isOf[1]! } : at.current;
  return (
    <section class="card stack" aria-label="Matrix">
      <div class="row apart">
        <h2>Matrix <span class="dim">rows: from ({rows.length}), columns: to ({columns.length}){note && `; ${note}`}</span></h2>
        <button type="button" title="The cells that have been shown so far"
          onClick={() => keep("matrix.csv", "text/csv", csv(cells.current))}>Download CSV</button>
      </div>
      <div class="row">
        <Filter label="From" value={from} set={setFrom} placeholder="From: filter by name" />
        <Filter label="To" value={to} set={setTo} placeholder="To: filter by name" />
      </div>
      <Grid rows={rows} columns={columns} generation={policy.generation}
        asked={asked(service) ?? undefined} chosen={now}
        choose={(f, t) => { at.current = { from: f, to: t }; choose(f, t); }}
        told={(list) => { cells.current = [...list]; }} />
    </section>
  );
}
