// A field of several names: each is a chip that can be taken away, and more are found while one
// types. Forms call it for groups, networks and members.

import { useEffect, useId, useRef, useState } from "preact/hooks";

import { useCalm } from "../app";
import { settles } from "../model/list";

export interface NamesProps {
  label: string;
  names: readonly string[];
  set: (names: string[]) => void;
  /** find suggests names for what is typed; left out = there is nothing to suggest. */
  find?: (word: string, signal: AbortSignal) => Promise<string[]>;
  hint?: string;
  error?: string;
  placeholder?: string;
  /** presets are names that one click adds. */
  presets?: readonly (readonly [string, string])[];
}

/** The suggestions for a word, as they come. */
function useFound(find: NamesProps["find"], word: string): string[] {
  const [list, set] = useState<string[]>([]);
  const calm = useCalm(word.trim(), 120);
  useEffect(() => {
    if (!find) return;
    const control = new AbortController();
    find(calm, control.signal).then((l) => set(l), () => {});
    return () => control.abort();
  }, [calm]);
  return list;
}

export function NamesField(p: NamesProps) {
  const [word, setWord] = useState("");
  const isTaken = useRef(false); // Enter has added a name, and is to send no form
  const id = useId();
  const found = useFound(p.find, word).filter((n) => !p.names.includes(n)).slice(0, 20);
  const add = (text: string) => {
    const fresh = text.split(",").map((n) => n.trim()).filter((n) => n && !p.names.includes(n));
    if (fresh.length > 0) p.set([...p.names, ...new Set(fresh)]);
    setWord("");
  };
  const typed = (text: string) => settles(text, found) ? add(text) : setWord(text);
  const by = [p.hint && `${id}-hint`, p.error && `${id}-error`].filter(Boolean).join(" ");
  return (
    <div class="field">
      <label for={id}>{p.label}</label>
      {p.names.length > 0 && <ul class="plain chips">{p.names.map((n) => (
        <li key={n} class="chip"><span>{n}</span>
          <button type="button" aria-label={`Remove ${n}`}
            onClick={() => p.set(p.names.filter((o) => o !== n))}>✕</button></li>
      ))}</ul>}
      <div class="row tight">
        <input id={id} list={p.find ? `${id}-list` : undefined} value={word} autocomplete="off"
          spellcheck={false} placeholder={p.placeholder} aria-describedby={by || undefined}
          aria-invalid={p.error ? "true" : undefined} class="grow"
          onInput={(e) => typed(e.currentTarget.value)}
          onBlur={() => word.trim() && add(word)}
          onKeyDown={(e) => {
            isTaken.current = e.key === "Enter" && word.trim() !== "";
            if (isTaken.current) { e.preventDefault(); add(word); }
            if (e.key === "Backspace" && word === "") p.set(p.names.slice(0, -1));
          }}
          onKeyPress={(e) => { if (isTaken.current) e.preventDefault(); }} />
        {(p.presets ?? []).filter(([n]) => !p.names.includes(n)).map(([n, text]) => (
          <button key={n} type="button" class="bare" onClick={() => add(n)}>+ {text}</button>
        ))}
      </div>
      {p.find && <datalist id={`${id}-list`}>{found.map((n) => <option key={n} value={n} />)}</datalist>}
      {p.hint && <p id={`${id}-hint`} class="small dim">{p.hint}</p>}
      {p.error && <p id={`${id}-error`} class="small lost field-error">{p.error}</p>}
    </div>
  );
}
