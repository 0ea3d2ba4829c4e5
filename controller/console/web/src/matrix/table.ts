// The matrix as a table: who has a line, who has a column, and what a cell says. Pure; the matrix and
// its export call it. What a cell says is the server's answer, never reckoned here.

import { admits, ofWords } from "../diff/services";
import type { Services } from "../diff/services";
import { compare, outside } from "../picture/graph";

/** An end of GET /v1/matrix. */
export interface End {
  name: string;
  kind: "group" | "network";
  instances?: number;
  networks?: string[];
  egress?: string;
}

/** A cell of GET /v1/matrix in which anything passes. */
export interface Cell {
  from: string;
  to: string;
  services: string[];
  of_some?: string[];
}

/** Cells by their ends; undefined = nothing passes, or nobody has asked yet. */
export type Cells = ReadonlyMap<string, Cell>;

export const cellKey = (from: string, to: string): string => `${from}\n${to}`;

export const cellsOf = (list: readonly Cell[]): Cells =>
  new Map(list.map((c) => [cellKey(c.from, c.to), c]));

/** What a cell says in one line: "tcp/80, tcp/443; icmp of some"; "" = nothing passes. */
export function cellText(c: Cell | undefined): string {
  if (c === undefined) return "";
  const some = c.of_some ?? [];
  return [c.services.join(", "), some.length > 0 ? `${some.join(", ")} of some` : ""]
    .filter((t) => t !== "").join("; ");
}

/** hits says whether a cell admits any of some services. */
export const hits = (c: Cell | undefined, asked: Services): boolean =>
  c !== undefined && admits(ofWords([...c.services, ...c.of_some ?? []]), asked);

/** ordered has groups by name, then outside, then networks. */
export function ordered(ends: readonly End[]): End[] {
  const rank = (e: End): number => e.kind === "group" ? 0 : e.name === outside ? 1 : 2;
  return [...ends].sort((a, b) => rank(a) - rank(b) || compare(a.name, b.name));
}

/**
 * linesOf are the ends that have a line, and those that have a column: networks only where anything
 * passes that is not what passes for outside. It needs all cells.
 */
export function linesOf(ends: readonly End[], cells: Cells): { rows: End[]; columns: End[] } {
  const all = ordered(ends);
  const differs = (e: End, at: (name: string, other: string) => Cell | undefined): boolean =>
    e.kind === "group" || all.some((o) => {
      const mine = cellText(at(e.name, o.name));
      return mine !== "" && (e.name === outside || mine !== ofFamily(at(outside, o.name), e));
    });
  return { rows: all.filter((e) => differs(e, (name, other) => cells.get(cellKey(name, other)))),
    columns: all.filter((e) => differs(e, (name, other) => cells.get(cellKey(other, name)))) };
}

/** ofFamily is what a cell of outside says of a network that has one family. */
function ofFamily(c: Cell | undefined, e: End): string {
  const isV6 = (e.networks ?? []).every((n) => n.includes(":"));
  const isV4 = (e.networks ?? []).every((n) => !n.includes(":"));
  if (c === undefined || isV4 === isV6) return cellText(c);
  const [mine, other] = isV6 ? [" (IPv6)", " (IPv4)"] : [" (IPv4)", " (IPv6)"];
  const only = (words: readonly string[]): string[] => words.filter((w) => !w.endsWith(other))
    .map((w) => w.endsWith(mine) ? w.slice(0, -mine.length) : w);
  return cellText({ ...c, services: only(c.services), of_some: only(c.of_some ?? []) });
}

/** named are ends whose names hold a text, whatever its case. */
export function named(ends: readonly End[], text: string): End[] {
  const want = text.trim().toLowerCase();
  return want === "" ? [...ends] : ends.filter((e) => e.name.toLowerCase().includes(want));
}

/** csv is the table for programs that reckon: a line for each cell. */
export function csv(cells: Iterable<Cell>): string {
  const lines = ["from,to,services,of some"];
  for (const c of cells) {
    lines.push([c.from, c.to, c.services.join(" "), (c.of_some ?? []).join(" ")]
      .map(field).join(","));
  }
  return lines.join("\r\n") + "\r\n";
}

/** field quotes a text; one that a program might take for a formula begins with a quote mark. */
function field(s: string): string {
  const safe = /^[=+\-@\t\r]/.test(s) ? `'${s}` : s;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
