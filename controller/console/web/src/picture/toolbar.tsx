// What is shown of the policy: around whom, how far, by which service, and what is put together. The
// page of the picture calls it.

import { useId, useMemo, useState } from "preact/hooks";

import type { Group } from "../api";
import { groupID, networkID } from "./graph";
import type { Graph } from "./graph";
import type { Folding } from "./fold";
import { asked } from "./view";
import type { Shown } from "./view";

export interface ToolbarProps {
  shown: Shown;
  set: (more: Partial<Shown>) => void;
  groups: readonly Group[];
  whole: Graph;
  hasDraft: boolean;
  keepPicture: () => void;
}

export function Toolbar({ shown, set, whole, hasDraft, keepPicture }: ToolbarProps) {
  return (
    <header class="stack">
      <div class="row apart">
        <h1>Reachability</h1>
        <div class="row"><a class="button" href="/matrix">Matrix only</a>
          <button type="button" onClick={keepPicture}>Download SVG</button></div>
      </div>
      <div class="toolbar" role="group" aria-label="View">
        <Around shown={shown} set={set} whole={whole} />
        {shown.around !== "" && <Choose label="Depth" value={String(shown.steps)}
          set={(v) => set({ steps: v === "2" ? 2 : 1 })}
          options={[["1", "1 step"], ["2", "2 steps"]]} />}
        <Choose label="Group by" value={shown.fold}
          set={(v) => set({ fold: v as Folding, open: [] })} options={[["none", "none"],
            ["project", "project"], ["prefix", "name prefix"]]} />
        <Service value={shown.service} set={(service) => set({ service })} />
        {hasDraft && <Choose label="Show" value={shown.draft ? "draft" : "policy"}
          set={(v) => set({ draft: v === "draft" })}
          options={[["policy", "current policy"], ["draft", "draft changes"]]} />}
      </div>
    </header>
  );
}

function Choose({ label, value, set, options }: {
  label: string; value: string; set: (v: string) => void;
  options: readonly (readonly [string, string])[];
}) {
  const id = useId();
  return (
    <div class="tool">
      <label for={id}>{label}</label>
      <select id={id} value={value} onChange={(e) => set(e.currentTarget.value)}>
        {options.map(([v, text]) => <option key={v} value={v}>{text}</option>)}
      </select>
    </div>
  );
}

const mostFound = 50;

/** Around finds a group or a network by a part of its name. */
function Around({ shown, set, whole }: Pick<ToolbarProps, "shown" | "set" | "whole">) {
  const id = useId();
  const known = useMemo(() => new Set(whole.boxes.map((b) => b.id)), [whole]);
  const name = shown.around.replace(/^[gnf]:/, "");
  const [word, setWord] = useState<string>();
  const found = useMemo(() => {
    const want = (word ?? "").toLowerCase();
    const list: string[] = [];
    for (const b of whole.boxes) {
      if (b.name.toLowerCase().includes(want)) list.push(b.name);
      if (list.length === mostFound) break;
    }
    return list;
  }, [whole, word]);
  const take = (text: string): void => {
    const at = [groupID(text), networkID(text)].find((b) => known.has(b));
    setWord(at === undefined && text !== "" ? text : undefined);
    if (at !== undefined) set({ around: at, fold: "none" });
    else if (text === "") set({ around: "" });
  };
  return (
    <div class="tool wide">
      <label for={id}>Focus on</label>
      <input id={id} type="search" list={`${id}-list`} value={word ?? name} autocomplete="off"
        spellcheck={false} placeholder="all groups" onInput={(e) => take(e.currentTarget.value)} />
      <datalist id={`${id}-list`}>{found.map((n) => <option key={n} value={n} />)}</datalist>
    </div>
  );
}

/** Service is a filter by service, which says what it cannot read. */
export function Service({ value, set }: { value: string; set: (v: string) => void }) {
  const isWrong = asked(value) === null;
  const id = useId();
  return (
    <div class="tool">
      <label for={id}>Service</label>
      <input id={id} type="search" value={value} autocomplete="off" spellcheck={false}
        placeholder="ssh, tcp/443" aria-invalid={isWrong ? "true" : undefined}
        aria-describedby={isWrong ? `${id}-error` : undefined}
        onInput={(e) => set(e.currentTarget.value)} />
      {isWrong && <p id={`${id}-error`} class="small lost field-error">
        Unknown service: use ssh, tcp/443, udp/53 or any.</p>}
    </div>
  );
}
