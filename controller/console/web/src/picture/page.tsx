// The page of the picture: the policy as boxes and arrows, what is chosen in words, the matrix, and
// the arrows as a table. The route /picture shows it.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import type { Group } from "../api";
import { mayEdit, useApp, useAsk } from "../app";
import { useDraft } from "../draft/store";
import { diff } from "../diff/diff";
import { go, useAddress } from "../go";
import { MatrixCard } from "../matrix/card";
import { Empty, Failure, Notice, Waiting } from "../ui/notice";
import { Details } from "./details";
import type { Drawing } from "./drawing";
import { between, graphOf, judged } from "./graph";
import type { Graph, Judged } from "./graph";
import { keep } from "./keep";
import { Layouter } from "./layouter";
import { ArrowTable } from "./list";
import { loadPolicy, ownName } from "./load";
import type { Policy } from "./load";
import { Picture } from "./picture";
import type { Choice } from "./picture";
import { svgText } from "./svg";
import { count } from "./text";
import { Toolbar } from "./toolbar";
import { address, foldedEnough, partOf, read } from "./view";
import type { Part, Shown } from "./view";

export default function PicturePage() {
  const { client, generation, who } = useApp();
  const [seen, setSeen] = useState(0);
  const layouter = useMemo(() => new Layouter(), []);
  useEffect(() => {
    layouter.warm(); // it loads while the policy does
    return () => layouter.stop();
  }, []);
  const asked = useAsk((s) => loadPolicy(client, s, setSeen), [client, generation]);
  if (asked.data === undefined) {
    return asked.error ? <Failure error={asked.error} what="load the policy" again={asked.again} />
      : <Waiting what={seen > 0 ? `the policy: ${count(seen, "group")} so far` : "the policy"} />;
  }
  return (
    <div class="stack wide">
      {asked.error && <Failure error={asked.error} what="load the newest policy" again={asked.again} />}
      <Loaded policy={asked.data} layouter={layouter} mayChange={mayEdit(who)} />
    </div>
  );
}

/** useAfter is the policy as the draft would have it; undefined = there is no draft of groups. */
function useAfter(before: readonly Group[]): Group[] | undefined {
  const { project } = useApp();
  const [draft] = useDraft(project);
  return useMemo(() => {
    const edits = Object.entries(draft.groups);
    if (edits.length === 0) return undefined;
    const all = new Map(before.map((g) => [g.name, g]));
    for (const [name, { after }] of edits) {
      if (after === null) all.delete(name);
      else all.set(name, { ...all.get(name), ...after });
    }
    return [...all.values()];
  }, [draft.groups, before]);
}

function Loaded({ policy, layouter, mayChange }: {
  policy: Policy; layouter: Layouter; mayChange: boolean;
}) {
  const shown = read(useAddress().search);
  const after = useAfter(policy.groups);
  const isDraft = shown.draft && after !== undefined;
  const whole = useMemo(() => isDraft ? diff(policy.groups, after).graph : graphOf(policy.groups),
    [policy.groups, after, isDraft]);
  const part = useMemo(() => partOf(whole, shown),
    [whole, shown.around, shown.steps, shown.fold, shown.open.join("\n"), shown.service]);
  const graph = useJudged(part.graph, isDraft, policy);
  const [chosen, choose] = useState<Choice>();
  const drawing = useRef<Drawing>();
  const set = (more: Partial<Shown>): void => go(address({ ...shown, ...more }), "replace");
  useEffect(() => { if (shown.around !== "") choose({ kind: "box", id: shown.around }); },
    [shown.around]);
  if (policy.groups.length === 0 && after === undefined) return <Nothing mayChange={mayChange} />;
  const title = titleOf(shown, whole);
  return (
    <div class="stack wide">
      <Toolbar shown={shown} set={set} groups={policy.groups} whole={whole}
        hasDraft={after !== undefined} keepPicture={() => drawing.current &&
          keep("reachability.svg", "image/svg+xml", svgText(drawing.current, title))} />
      {isDraft && <Legend />}
      <div class="picture-and-details">
        <section class="stack" aria-label="Picture">
          <Drawn part={part} graph={graph} layouter={layouter} whole={whole} shown={shown} set={set} title={title}
            chosen={chosen} choose={choose} drawn={(d) => { drawing.current = d; }} />
        </section>
        <Details graph={graph} whole={whole} chosen={chosen} choose={choose}
          around={(id) => set({ around: id, fold: "none" })}
          unfold={(key) => set({ open: [...shown.open, key] })} />
      </div>
      {graph.arrows.length > 0 && <details class="card">
        <summary><h2>As a table <span class="dim">{count(graph.arrows.length, "arrow")}
        </span></h2></summary>
        <ArrowTable graph={graph} choose={choose} />
      </details>}
      <MatrixCard policy={policy} service={shown.service} chosen={chosen}
        note={isDraft ? "current policy, without the draft" : ""}
        choose={(from, to) => choose({ kind: "arrow", id: between(whole, from, to) })} />
    </div>
  );
}

/** useJudged asks the server by which of the arrows nothing passes; a draft's it does not know. */
function useJudged(graph: Graph, isDraft: boolean, policy: Policy): Graph {
  const { client, project } = useApp();
  const names = useMemo(() => {
    const known = new Set(policy.groups.map((g) => g.name));
    return graph.boxes.filter((b) => b.kind === "network" || known.has(b.name))
      .map((b) => b.name).slice(0, 60).join("\n");
  }, [graph, policy.groups]);
  const asked = useAsk<readonly Judged[]>(async (s) => {
    if (isDraft || names === "" || graph.boxes.some((b) => b.kind === "fold")) return [];
    const m = await client.matrix({ rows: names, columns: names }, s);
    return ((m.arrows ?? []) as Judged[]).map((a) => ({ ...a, from: ownName(project, a.from),
      to: ownName(project, a.to) }));
  }, [client, project, names, isDraft, policy.generation]);
  return useMemo(() => asked.data === undefined ? graph : judged(graph, asked.data),
    [graph, asked.data]);
}

function Drawn({ part, graph, layouter, whole, shown, set, title, chosen, choose, drawn }: {
  part: Part; graph: Graph; layouter: Layouter; whole: Graph; shown: Shown; set: (more: Partial<Shown>) => void;
  title: string; chosen: Choice | undefined; choose: (c: Choice | undefined) => void;
  drawn: (d: Drawing | undefined) => void;
}) {
  if (part.tooMany > 0) return <TooMany boxes={part.tooMany} whole={whole} set={set} />;
  if (graph.boxes.length === 0) {
    return shown.service !== "" ? <Empty title={`No rule admits ${shown.service}`}>
      <div><button type="button" onClick={() => set({ service: "" })}>Show all services</button></div>
    </Empty> : <Empty title={`${shown.around.slice(2)} is not in this view`}>
      <p>It may have been removed, or be grouped with others.</p>
      <div><button type="button" onClick={() => set({ around: "", open: [], fold: "none" })}>
        Show everything</button></div>
    </Empty>;
  }
  return (
    <>
      <Picture graph={graph} layouter={layouter} title={title} chosen={chosen} choose={choose} drawn={drawn} />
      {part.out > 0 && <p class="dim">{count(part.out, "more box").replace("boxs", "boxes")} not shown:
        those with the most rules are. Filter by a service, or see the matrix.</p>}
      {graph.boxes.length > 0 && graph.arrows.length === 0 && <Notice title="No rules yet">
        <p>All ingress is denied, and all egress is open. Rules of groups are drawn as arrows here.</p>
      </Notice>}
    </>
  );
}

function TooMany({ boxes, whole, set }: {
  boxes: number; whole: Graph; set: (more: Partial<Shown>) => void;
}) {
  const folding = foldedEnough(whole);
  return (
    <Empty title={`${boxes.toLocaleString("en")} boxes are too many to draw`}>
      <p>Focus on a group above, or use the matrix below: it has all of them.</p>
      {folding !== undefined && <div><button type="button" class="main"
        onClick={() => set({ fold: folding })}>Group by
        {folding === "project" ? " project" : " name prefix"}</button></div>}
    </Empty>
  );
}

const Nothing = ({ mayChange }: { mayChange: boolean }) => (
  <Empty title="No groups yet">
    <p>Groups are boxes here, and rules are arrows between them.</p>
    <div><a class="button main" href="/">{mayChange ? "Create the first group" : "Groups"}</a></div>
  </Empty>
);

const Legend = () => (
  <p class="legend">
    <span class="gained">+ gained: solid and thick</span>
    <span class="lost">− lost: dashed</span>
    <span class="changed">± both: dashes and dots</span>
    <a href="/draft">Review draft</a>
  </p>
);

function titleOf(s: Shown, whole: Graph): string {
  const name = whole.boxes.find((b) => b.id === s.around)?.name ?? s.around.replace(/^[gnf]:/, "");
  const what = s.draft ? "Draft changes" : "Reachability";
  const around = s.around === "" ? "" : `, around ${name}`;
  return `${what}${around}${s.service === "" ? "" : ` by ${s.service}`}`;
}
