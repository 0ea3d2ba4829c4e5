// The matrix: from the left to the top. Of thousands of groups only the rows and columns in sight are
// there. The pages of the picture and of the matrix call it.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { Failure } from "../ui/notice";
import type { Services } from "../diff/services";
import { useParts } from "./parts";
import { cellKey, cellText, hits } from "./table";
import type { Cell, End } from "./table";
import { inSight, toShow } from "./window";

export interface GridProps {
  rows: readonly End[];
  columns: readonly End[];
  generation: number;
  /** asked are the services of the filter; cells without them are dim. */
  asked: Services | undefined;
  chosen: { from: string; to: string } | undefined;
  choose: (from: string, to: string) => void;
  /** told is called with the cells that are known, to be kept as a file. */
  told?: (cells: Iterable<Cell>) => void;
}

const rowSize = 34;
const columnSize = 132;
const headSize = 36;

export function Grid(p: GridProps) {
  const box = useRef<HTMLDivElement>(null);
  const side = useSide(p.rows);
  const [at, setAt] = useState({ row: 0, column: 0 });
  const seen = useSeen(box, p.rows.length, p.columns.length, side);
  const parts = useParts(p.rows, p.columns, seen, p.generation);
  useEffect(() => p.told?.(parts.cells.values()), [parts.cells, parts.cells.size]);
  const go = useWalk(box, p, at, setAt, side);
  const width = side + p.columns.length * columnSize;
  const columns = range(seen.columns.first, seen.columns.end);
  return (
    <div class="stack">
      {parts.error && <Failure error={parts.error} what="load the matrix" again={parts.again} />}
      <div class="matrix" ref={box} role="grid" aria-label="Reachability: rows reach columns"
        aria-rowcount={p.rows.length + 1} aria-colcount={p.columns.length + 1}
        aria-busy={parts.busy} onKeyDown={go}>
        <div class="matrix-sheet" role="presentation"
          style={{ width: `${width}px`, height: `${headSize + p.rows.length * rowSize}px` }}>
          <div class="matrix-head" role="row" aria-rowindex={1} style={{ width: `${width}px` }}>
            <div class="matrix-corner" role="columnheader" aria-colindex={1}
              style={{ width: `${side}px` }}>from \ to</div>
            {columns.map((c) => (
              <div key={c} role="columnheader" aria-colindex={c + 2} title={p.columns[c]!.name}
                class="matrix-name" style={{ left: `${side + c * columnSize}px` }}>
                {p.columns[c]!.name}</div>
            ))}
          </div>
          {range(seen.rows.first, seen.rows.end).map((r) => (
            <Row key={r} p={p} r={r} columns={columns} side={side} at={at} parts={parts} />
          ))}
        </div>
      </div>
    </div>
  );
}

const range = (first: number, end: number): number[] =>
  Array.from({ length: Math.max(0, end - first) }, (_, n) => first + n);

function Row({ p, r, columns, side, at, parts }: {
  p: GridProps; r: number; columns: readonly number[]; side: number;
  at: { row: number; column: number }; parts: ReturnType<typeof useParts>;
}) {
  const from = p.rows[r]!.name;
  return (
    <div class="matrix-row" role="row" aria-rowindex={r + 2}
      style={{ top: `${headSize + r * rowSize}px`,
        width: `${side + p.columns.length * columnSize}px` }}>
      <div class={`matrix-side ${p.rows[r]!.kind}`} role="rowheader" aria-colindex={1} title={from}
        style={{ width: `${side}px` }}>{from}</div>
      {columns.map((c) => {
        const to = p.columns[c]!.name;
        const cell = parts.cells.get(cellKey(from, to));
        const isChosen = p.chosen?.from === from && p.chosen.to === to;
        return (
          <CellBox key={c} r={r} c={c} side={side} cell={cell} known={parts.known(r, c)}
            isAt={at.row === r && at.column === c} isChosen={isChosen} names={`${from} to ${to}`}
            isHit={p.asked === undefined ? undefined : hits(cell, p.asked)}
            choose={() => p.choose(from, to)} />
        );
      })}
    </div>
  );
}

function CellBox({ r, c, side, cell, known, isAt, isChosen, isHit, names, choose }: {
  r: number; c: number; side: number; cell: Cell | undefined; known: boolean; isAt: boolean;
  isChosen: boolean; isHit: boolean | undefined; names: string; choose: () => void;
}) {
  const all = cellText(cell);
  const kind = [!known ? "unknown" : all === "" ? "none" : "some", isHit === true ? "hit" : "",
    isHit === false ? "dimmed" : "", isChosen ? "chosen" : ""].join(" ");
  return (
    <div class={`matrix-cell ${kind}`} role="gridcell" aria-colindex={c + 2} data-row={r}
      data-column={c} tabIndex={isAt ? 0 : -1} aria-selected={isChosen}
      title={`${names}: ${!known ? "not known yet" : all || "nothing passes"}`}
      style={{ left: `${side + c * columnSize}px` }} onClick={choose}>
      {known ? all === "" ? "–" : all : "…"}
    </div>
  );
}

/** useSide is how wide the names at the left are. */
function useSide(rows: readonly End[]): number {
  return useMemo(() => {
    const longest = rows.reduce((n, e) => Math.max(n, e.name.length), 8);
    const most = Math.min(240, Math.max(120, globalThis.innerWidth * 0.36));
    return Math.round(Math.min(most, longest * 8 + 24));
  }, [rows]);
}

/** useSeen follows which rows and columns are in sight. */
function useSeen(box: { current: HTMLElement | null }, rows: number, columns: number, side: number) {
  const [at, set] = useState({ left: 0, top: 0, width: 900, height: 500 });
  useEffect(() => {
    const it = box.current;
    if (it === null) return;
    let frame = 0;
    const look = (): void => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => set({ left: it.scrollLeft, top: it.scrollTop,
        width: it.clientWidth, height: it.clientHeight }));
    };
    look();
    it.addEventListener("scroll", look, { passive: true });
    const size = new ResizeObserver(look);
    size.observe(it);
    return () => { it.removeEventListener("scroll", look); size.disconnect(); };
  }, []);
  return { rows: inSight(at.top, at.height - headSize, rowSize, rows),
    columns: inSight(at.left, at.width - side, columnSize, columns, 2) };
}

const moves: Record<string, readonly [rows: number, columns: number]> = { ArrowUp: [-1, 0],
  ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], PageUp: [-10, 0], PageDown: [10, 0],
  Home: [0, -Infinity], End: [0, Infinity] };

/** useWalk goes from cell to cell by keys, and chooses one by Enter. */
function useWalk(box: { current: HTMLElement | null }, p: GridProps,
  at: { row: number; column: number }, set: (at: { row: number; column: number }) => void,
  side: number) {
  const wants = useRef(false);
  useEffect(() => {
    if (!wants.current) return;
    const cell = box.current?.querySelector<HTMLElement>(
      `[data-row="${at.row}"][data-column="${at.column}"]`);
    cell?.focus({ preventScroll: true });
    if (cell) wants.current = false;
  });
  return (e: KeyboardEvent): void => {
    const target = (e.target as HTMLElement).dataset;
    const here = target.row === undefined ? at
      : { row: Number(target.row), column: Number(target.column) };
    const way = moves[e.key];
    if (e.key === "Enter" || e.key === " ") {
      p.choose(p.rows[here.row]?.name ?? "", p.columns[here.column]?.name ?? "");
    } else if (way !== undefined) {
      const row = Math.min(p.rows.length - 1, Math.max(0, here.row + way[0]));
      const column = Math.min(p.columns.length - 1, Math.max(0, here.column + way[1]));
      const it = box.current!;
      it.scrollTop = toShow(it.scrollTop, it.clientHeight - headSize, rowSize, row);
      it.scrollLeft = toShow(it.scrollLeft, it.clientWidth - side, columnSize, column);
      wants.current = true;
      set({ row, column });
    } else return;
    e.preventDefault();
  };
}
