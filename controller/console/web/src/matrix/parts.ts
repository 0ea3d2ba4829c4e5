// The cells of a matrix, asked for part by part as they come into sight, and kept until the policy
// changes. The matrix calls this.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { isAborted } from "../api";
import type { Matrix } from "../api";
import { useApp } from "../app";
import { ownName } from "../picture/load";
import { cellKey } from "./table";
import type { Cell, Cells, End } from "./table";
import { aligned } from "./window";
import type { Part } from "./window";

/** Rows and columns are asked for in blocks of so many. */
const block = 16;
const calm = 80; // milliseconds that one scrolls no more

export interface Asked {
  cells: Cells;
  /** known says whether the server has answered about a cell. */
  known: (row: number, column: number) => boolean;
  error: Error | undefined;
  again: () => void;
  busy: boolean;
}

const keyOf = (row: number, column: number): string =>
  `${Math.floor(row / block)},${Math.floor(column / block)}`;

/** missing says whether a block of a part is not there yet. */
function missing(have: ReadonlySet<string>, rows: Part, columns: Part): boolean {
  for (let r = rows.first; r < rows.end; r += block) {
    for (let c = columns.first; c < columns.end; c += block) {
      if (!have.has(keyOf(r, c))) return true;
    }
  }
  return false;
}

/** useParts asks for the cells in sight. A list of ends that is another one begins anew. */
export function useParts(rows: readonly End[], columns: readonly End[], seen: { rows: Part;
  columns: Part }, generation: number): Asked {
  const { client, project } = useApp();
  const kept = useMemo(() => ({ cells: new Map<string, Cell>(), blocks: new Set<string>() }),
    [rows, columns, generation, client]);
  const [round, setRound] = useState(0);
  const [error, setError] = useState<Error>();
  const [busy, setBusy] = useState(false);
  const last = useRef(kept.cells);
  const r = aligned(seen.rows, block, rows.length), c = aligned(seen.columns, block, columns.length);
  const want = missing(kept.blocks, r, c);
  useEffect(() => {
    if (!want) return;
    const control = new AbortController();
    const names = (list: readonly End[], part: Part): string =>
      list.slice(part.first, part.end).map((e) => e.name).join("\n");
    const timer = setTimeout(() => {
      setBusy(true);
      client.matrix({ rows: names(rows, r), columns: names(columns, c) }, control.signal)
        .then((m: Matrix) => {
          for (const one of m.cells) {
            const [from, to] = [ownName(project, one.from), ownName(project, one.to)];
            kept.cells.set(cellKey(from, to), { ...one, from, to });
          }
          for (let i = r.first; i < r.end; i += block) {
            for (let j = c.first; j < c.end; j += block) kept.blocks.add(keyOf(i, j));
          }
          last.current = kept.cells;
          setError(undefined);
          setBusy(false);
          setRound((n) => n + 1);
        }, (e: Error) => {
          if (isAborted(e)) return;
          setError(e);
          setBusy(false);
        });
    }, kept.blocks.size === 0 ? 0 : calm);
    return () => { clearTimeout(timer); control.abort(); };
  }, [kept, want, r.first, r.end, c.first, c.end, round]);
  return { cells: kept.cells, known: (row, column) => kept.blocks.has(keyOf(row, column)), error,
    busy, again: () => { setError(undefined); setRound((n) => n + 1); } };
}
