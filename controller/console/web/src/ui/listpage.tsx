// A page of named objects, of the server and of the draft: a filter, a table that goes on as one scrolls,
// and a button for a new one. The pages of groups and of instances call this.

import type { ComponentChildren } from "preact";

import { mayEdit, useApp } from "../app";
import type { Edit } from "../model/draft";
import { counted } from "../model/list";
import { Filter } from "./field";
import { Failure, Old, Waiting } from "./notice";
import type { Paged } from "./paged";
import { Table } from "./table";
import type { Column } from "./table";

/** An object as the list shows it. */
export type Edited<T> = T & { state: "" | "new" | "changed" | "removed" };

/** The objects of a list as the draft makes them: those that it adds first, if their name has a word. */
export function edited<T extends { name: string }>(list: T[], edits: Record<string, Edit<T>>,
  word: string): Edited<T>[] {
  const known = new Set(list.map((v) => v.name));
  const fresh = Object.entries(edits)
    .filter(([n, e]) => !known.has(n) && e.after && !e.before && n.includes(word))
    .map(([, e]): Edited<T> => ({ ...e.after as T, state: "new" }));
  return [...fresh, ...list.map((v): Edited<T> => {
    const edit = Object.hasOwn(edits, v.name) ? edits[v.name] : undefined;
    return { ...(edit?.after ?? v), state: !edit ? "" : edit.after ? "changed" : "removed" };
  })];
}

interface Row {
  name: string;
  state: string;
}

/** What a page has of its own. one is the word for one of its objects. */
interface Shown<T extends Row> {
  title: string;
  one: string;
  list: Paged<unknown>;
  rows: T[];
  columns: Column<T>[];
  sort?: { column: number; down: boolean };
  /** word is what is looked for; calm is what the list is of. */
  word: string;
  setWord: (word: string) => void;
  calm: string;
  make: () => void;
  /** first stands in the place of a list that is empty. */
  first: ComponentChildren;
  children?: ComponentChildren;
}

export function ListPage<T extends Row>(p: Shown<T>) {
  const { who } = useApp();
  const { list, rows } = p;
  const isNone = rows.length === 0 && !list.busy && p.calm === "";
  return (
    <div class="stack">
      <div class="row apart">
        <h1>{p.title}</h1>
        {mayEdit(who) && <button type="button" class="main" onClick={p.make}>New {p.one}</button>}
      </div>
      {list.error && rows.length === 0
        ? <Failure error={list.error} what={`load the ${p.one}s`} again={list.again} />
        : isNone ? p.first : <Found {...p} />}
    </div>
  );
}

/** What was found, and how much of it is here. */
function Found<T extends Row>({ title, one, list, rows, columns, sort, word, setWord, calm,
  children }: Shown<T>) {
  const many = `${one}s`;
  return (
    <>
      <div class="row">
        <Filter label={`Filter ${many}`} value={word} set={setWord}
          placeholder={`Find ${one === "instance" ? "an" : "a"} ${one}`} />
        <span class="dim" role="status">{list.busy && rows.length === 0 ? ""
          : list.more && list.total ? `${rows.length} of ${counted(list.total, one)}`
          : list.more ? `first ${rows.length.toLocaleString("en")}; scroll for more`
          : counted(rows.length, one)}</span>
      </div>
      <Old of={list} what={many} />
      {rows.length > 0 ? <Table name={title} rows={rows} columns={columns} keyOf={(r) => r.name}
        more={list.more} classOf={(r) => r.state} sort={sort} />
        : list.busy ? <Waiting what={many} /> : <p>No {many} match “{calm}”.</p>}
      {list.error && <Failure error={list.error} what={`load more ${many}`} again={list.again} />}
      {children}
    </>
  );
}
