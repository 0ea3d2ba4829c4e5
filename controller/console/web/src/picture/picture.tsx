// A graph as a picture: laid out by a worker, then drawn, with what is chosen lit and the rest dim.
// Pages call it with any graph: the policy, a draft's diff, or that of the history.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { Notice, Waiting } from "../ui/notice";
import { Canvas } from "./canvas";
import type { Choice } from "./canvas";
import { draw, planOf } from "./drawing";
import type { Drawing } from "./drawing";
import type { Graph } from "./graph";
import type { Layout } from "./layout";
import type { Layouter } from "./layouter";
import { reached } from "./neighbourhood";

export type { Choice };

export interface PictureProps {
  graph: Graph;
  /** layouter lays it out; whoever has it stops it. */
  layouter: Layouter;
  title: string;
  chosen: Choice | undefined;
  choose: (c: Choice | undefined) => void;
  /** drawn is told each drawing, to be kept as a file. */
  drawn?: (d: Drawing | undefined) => void;
}

/** What is laid out, and the graph that it is of. */
interface Placed {
  shape: string;
  layout: Layout;
}

export function Picture({ graph, layouter, title, chosen, choose, drawn }: PictureProps) {
  const [pointed, point] = useState<Choice>();
  const { drawing, failed } = useDrawing(graph, layouter);
  useEffect(() => drawn?.(drawing), [drawing]);
  const lit = useMemo(() => litBy(graph, pointed ?? chosen), [graph, pointed, chosen]);
  if (failed !== undefined) {
    return <Notice kind="warn" title="Too much to draw">
      <p>{failed}. The table below has all of it; focus on a group, or group by project or name prefix.</p>
    </Notice>;
  }
  if (drawing === undefined) return <div class="canvas"><Waiting what="the picture" /></div>;
  return <Canvas drawing={drawing} title={title} chosen={chosen} choose={choose} lit={lit}
    point={point} />;
}

/** useDrawing asks for a layout whenever what must be laid out changes; words alone change nothing. */
function useDrawing(graph: Graph, layouter: Layouter):
  { drawing: Drawing | undefined; failed: string | undefined } {
  const [placed, setPlaced] = useState<Placed>();
  const [failed, setFailed] = useState<string>();
  const plan = useMemo(() => planOf(graph), [graph]);
  const shape = useMemo(() => JSON.stringify(plan), [plan]);
  useEffect(() => {
    let isOver = false;
    setFailed(undefined);
    const began = performance.now();
    layouter.ask(plan).then((layout) => {
      if (isOver) return;
      performance.measure("portcullis-layout", { start: began });
      setPlaced({ shape, layout });
    }, (e: Error) => { if (!isOver) setFailed(e.message); });
    return () => { isOver = true; };
  }, [shape]);
  const drawing = useMemo(() => placed?.shape === shape ? draw(graph, placed.layout) : undefined,
    [placed, shape, graph]);
  const last = useRef<Drawing>();
  if (drawing !== undefined) last.current = drawing;
  return { drawing: drawing ?? last.current, failed };
}

/** litBy is what a choice is about: a box and all that it reaches or is reached by, or an arrow. */
export function litBy(g: Graph, c: Choice | undefined) {
  if (c === undefined) return undefined;
  if (c.kind === "arrow") {
    const a = g.arrows.find((a) => a.id === c.id);
    return a && { boxes: new Set([a.from, a.to]), arrows: new Set([a.id]) };
  }
  if (!g.boxes.some((b) => b.id === c.id)) return undefined;
  const { to, from } = reached(g, c.id);
  return { boxes: new Set([c.id, ...to, ...from]),
    arrows: new Set(g.arrows.filter((a) => a.from === c.id || a.to === c.id).map((a) => a.id)) };
}
