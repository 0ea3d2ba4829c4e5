// Tables: they sort, and of many rows only those in sight are there. Pages call this.

import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { inSight, sorted } from "../model/list";
import type { Value } from "../model/list";

export interface Column<T> {
  title: string;
  cell: (row: T) => ComponentChildren;
  /** by is what it sorts by; left out = it does not. */
  by?: (row: T) => Value;
  kind?: "number" | "action";
  /** wide = it is there only where there is room. */
  wide?: boolean;
  width?: string;
}

/** From so many rows on only those in sight are there, and all have one height. */
const many = 120;
const rowHeight = 38; // as --row of tokens.css

export interface Shown<T> {
  name: string;
  rows: readonly T[];
  columns: readonly Column<T>[];
  keyOf: (row: T) => string;
  /** classOf marks a row, such as one that comes by the draft. */
  classOf?: (row: T) => string;
  /** more asks for further rows, when the end comes into sight. */
  more?: () => void;
  sort?: { column: number; down: boolean };
}

function Head<T>({ columns, sort, set }: {
  columns: readonly Column<T>[]; sort: { column: number; down: boolean } | undefined;
  set: (column: number) => void;
}) {
  return (
    <tr role="row">{columns.map((c, n) => {
      const isIt = sort?.column === n;
      const kind = `${c.kind ?? ""} ${c.wide ? "wide-only" : ""}`;
      return (
        <th key={n} scope="col" role="columnheader" class={kind}
          aria-sort={isIt ? sort.down ? "descending" : "ascending" : undefined}>
          {c.by ? (
            <button type="button" class="sort" onClick={() => set(n)}>
              {c.title}<span aria-hidden="true">{isIt ? sort.down ? " ↓" : " ↑" : ""}</span>
            </button>
          ) : c.kind === "action" ? <span class="only-read">{c.title}</span> : c.title}
        </th>
      );
    })}</tr>
  );
}

function Line<T>({ row, columns, index, mark }: {
  row: T; columns: readonly Column<T>[]; index: number; mark: string;
}) {
  return (
    <tr role="row" aria-rowindex={index} class={mark}>{columns.map((c, n) => {
      const kind = `${c.kind ?? ""} ${c.wide ? "wide-only" : ""}`;
      return n === 0 ? <th key={n} scope="row" role="rowheader" class={kind}>{c.cell(row)}</th>
        : <td key={n} role="cell" class={kind} data-title={c.title}>{c.cell(row)}</td>;
    })}</tr>
  );
}

/** Where the scrolling of a box stands; it asks for more when the end is near. */
function useScroll(isMany: boolean, count: number, more?: () => void) {
  const ref = useRef<HTMLDivElement>(null);
  const [seen, set] = useState({ top: 0, height: 800 });
  useEffect(() => {
    const box = ref.current;
    if (!box || !isMany) return;
    const look = () => set({ top: box.scrollTop, height: box.clientHeight });
    look();
    box.addEventListener("scroll", look, { passive: true });
    const size = new ResizeObserver(look);
    size.observe(box);
    return () => { box.removeEventListener("scroll", look); size.disconnect(); };
  }, [isMany]);
  const isNear = isMany && (seen.top + 2 * seen.height) / rowHeight > count;
  useEffect(() => { if (isNear) more?.(); }, [isNear, count, more !== undefined]);
  return { ref, seen };
}

const Gap = ({ rows, columns }: { rows: number; columns: number }) => rows <= 0 ? null
  : <tr aria-hidden="true" class="gap"><td colSpan={columns}
      style={{ height: `${rows * rowHeight}px` }} /></tr>;

export function Table<T>({ name, rows, columns, keyOf, classOf, more, sort: first }: Shown<T>) {
  const [sort, setSort] = useState(first);
  const list = useMemo(() => {
    const by = sort && columns[sort.column]?.by;
    return by ? sorted(rows, by, sort.down) : rows;
  }, [rows, sort]);
  const isMany = list.length > many;
  const { ref, seen } = useScroll(isMany, list.length, more);
  const part = isMany ? inSight(list.length, rowHeight, seen.top, seen.height)
    : { first: 0, last: list.length };
  const pick = (column: number) =>
    setSort((s) => s?.column === column ? { column, down: !s.down } : { column, down: false });
  return (
    <div ref={ref} class={isMany ? "table many" : "table"} tabIndex={0} role="region"
      aria-label={`${name}: the table`}>
      <table role="table" aria-label={name} aria-rowcount={isMany ? list.length + 1 : undefined}>
        {columns.some((c) => c.width) && (
          <colgroup>{columns.map((c, n) => (
            <col key={n} class={c.wide ? "wide-only" : ""}
              style={c.width ? { width: c.width } : undefined} />
          ))}</colgroup>
        )}
        <thead role="rowgroup"><Head columns={columns} sort={sort} set={pick} /></thead>
        <tbody role="rowgroup">
          <Gap rows={part.first} columns={columns.length} />
          {list.slice(part.first, part.last).map((row, n) => (
            <Line key={keyOf(row)} row={row} columns={columns} index={part.first + n + 2}
              mark={classOf?.(row) ?? ""} />
          ))}
          <Gap rows={list.length - part.last} columns={columns.length} />
        </tbody>
      </table>
      {more && sort && sort.column > 0 && <p class="table-more dim">Sorting covers the {rows.length} rows
        that are loaded.</p>}
      {more && !isMany && <div class="table-more">
        <button type="button" onClick={more}>Load more</button></div>}
    </div>
  );
}
