// Search over groups and instances, from every page: / goes there, arrows choose, Enter opens. The
// shell has it in its bar.

import { useEffect, useId, useRef, useState } from "preact/hooks";

import { isAborted } from "./api";
import { useApp, useCalm } from "./app";
import { at, go } from "./go";

interface Hit {
  kind: "group" | "instance";
  name: string;
  more: string;
}

const most = 7;

/** What is found of a word, while it is typed: an answer that is late is given up. */
function useHits(word: string): { hits: Hit[]; state: "none" | "busy" | "done" | "failed" } {
  const { client } = useApp();
  const calm = useCalm(word.trim(), 120);
  const [found, set] = useState<{ of: string; hits: Hit[]; failed?: boolean }>({ of: "", hits: [] });
  useEffect(() => {
    if (calm === "") return set({ of: "", hits: [] });
    const control = new AbortController();
    const page = { q: calm, limit: most };
    Promise.all([client.groups(page, control.signal), client.instances(page, control.signal)])
      .then(([groups, instances]) => set({ of: calm, hits: [
        ...groups.items.map((g): Hit => ({ kind: "group", name: g.name,
          more: `${g.members ?? 0} members` })),
        ...instances.items.map((i): Hit => ({ kind: "instance", name: i.name,
          more: i.host ?? "" })),
      ] }), (e) => { if (!isAborted(e)) set({ of: calm, hits: [], failed: true }); });
    return () => control.abort();
  }, [calm, client]);
  if (word.trim() === "") return { hits: [], state: "none" };
  if (found.of !== word.trim()) return { hits: found.hits, state: "busy" };
  return { hits: found.hits, state: found.failed ? "failed" : "done" };
}

export function Search() {
  const [word, setWord] = useState("");
  const [open, setOpen] = useState(false);
  const [chosen, setChosen] = useState(0);
  const { hits, state } = useHits(word);
  const input = useRef<HTMLInputElement>(null);
  const id = useId();
  const [isAwaited, setAwaited] = useState(false); // Enter came before what it is about was found
  const close = () => { setOpen(false); setChosen(0); setAwaited(false); };
  const pick = (h: Hit | undefined) => {
    if (!h) return;
    go(h.kind === "group" ? at.group(h.name) : at.instance(h.name));
    setWord("");
    close();
    input.current?.blur();
  };
  useEffect(() => {
    if (!isAwaited || state === "busy") return;
    setAwaited(false);
    pick(hits[0]);
  }, [isAwaited, state]);
  const key = (e: KeyboardEvent) => {
    const step = e.key === "ArrowDown" ? 1 : e.key === "ArrowUp" ? -1 : 0;
    if (step !== 0 && hits.length > 0) {
      e.preventDefault();
      setOpen(true);
      setChosen((n) => (n + step + hits.length) % hits.length);
    } else if (e.key === "Enter") {
      e.preventDefault();
      if (state === "done") pick(hits[chosen]);
      else setAwaited(state === "busy");
    } else if (e.key === "Escape") {
      setWord("");
      close();
    }
  };
  const isOpen = open && state !== "none";
  return (
    <div class="search" role="search" onFocusOut={(e) => {
      if (!e.currentTarget.contains(e.relatedTarget as Node | null)) close();
    }}>
      <input ref={input} id="search" type="search" role="combobox" aria-label="Search"
        placeholder="Search groups and instances" aria-expanded={isOpen} aria-controls={id}
        aria-autocomplete="list" autocomplete="off" spellcheck={false} value={word}
        aria-activedescendant={isOpen && hits.length > 0 ? `${id}-${chosen}` : undefined}
        onFocus={() => setOpen(true)} onKeyDown={key}
        onInput={(e) => { setWord(e.currentTarget.value); setOpen(true); setChosen(0); setAwaited(false); }} />
      <kbd aria-hidden="true">/</kbd>
      <Results id={id} hits={hits} chosen={chosen} pick={pick} isOpen={isOpen && hits.length > 0} />
      {isOpen && hits.length === 0 && state !== "busy" && (
        <div class="found" role="status">
          {state === "failed" ? "The server is not responding." : `No group or instance matches “${word}”.`}
        </div>
      )}
    </div>
  );
}

function Results({ id, hits, chosen, pick, isOpen }: {
  id: string; hits: readonly Hit[]; chosen: number; pick: (h: Hit) => void; isOpen: boolean;
}) {
  return (
    <ul id={id} role="listbox" aria-label="Results" hidden={!isOpen} class="found plain">
      {hits.map((h, n) => (
        <li key={h.kind + h.name} id={`${id}-${n}`} role="option" aria-selected={n === chosen}
          onMouseDown={(e) => { e.preventDefault(); pick(h); }}>
          <span class={`kind ${h.kind}`}>{h.kind}</span>
          <span class="grow">{h.name}</span><span class="dim small">{h.more}</span>
        </li>
      ))}
    </ul>
  );
}
