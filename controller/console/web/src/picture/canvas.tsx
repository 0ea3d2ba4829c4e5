// The drawing on the page: it is moved, made larger, walked through by keys, and everything in it
// can be chosen. picture.tsx calls it. Positions are attributes of SVG, never styles.

import { useEffect, useRef, useState } from "preact/hooks";

import type { Drawing, DrawnArrow, DrawnBox } from "./drawing";
import { step } from "./walk";
import type { Stop, Way } from "./walk";
import { fit, legible, pan, reveal, transform, zoom } from "./viewport";
import type { Size, View } from "./viewport";

/** What is chosen: a box or an arrow, by the id in the graph. */
export interface Choice {
  kind: "box" | "arrow";
  id: string;
}

export interface CanvasProps {
  drawing: Drawing;
  title: string;
  chosen: Choice | undefined;
  /** lit is what is not dimmed; undefined = nothing is dimmed. */
  lit: { boxes: ReadonlySet<string>; arrows: ReadonlySet<string> } | undefined;
  choose: (c: Choice | undefined) => void;
  point: (c: Choice | undefined) => void;
}

/** lines are the arrows between boxes, those that are faint below the others. */
const lines = (d: Drawing): DrawnArrow[] => d.arrows.filter((a) => !isSelf(a))
  .sort((a, b) => Number(b.className.includes("faint")) - Number(a.className.includes("faint")));

const isSelf = (a: DrawnArrow): boolean => a.arrow.from === a.arrow.to;

export function Canvas(p: CanvasProps) {
  const room = useRef<HTMLDivElement>(null);
  const size = useSize(room);
  const [view, setView] = useState<View>({ x: 0, y: 0, scale: 1 });
  // words that change, such as by a newer policy, leave it where somebody has moved it to
  useEffect(() => setView(begin(p.drawing, size)),
    [p.drawing.width, p.drawing.height, size.width, size.height]);
  useEffect(() => { // what is chosen elsewhere, such as in the table, is brought into sight
    const at = p.chosen && placeOfChoice(p.drawing, p.chosen);
    if (at) setView((v) => reveal(v, at, size));
  }, [p.chosen?.id, p.drawing, size.width, size.height]);
  const keys = useKeys(p, room, (part) => setView((v) => reveal(v, part, size)), (how) =>
    setView((v) => how === 0 ? fit(p.drawing, size) : zoom(v, how, size.width / 2, size.height / 2)));
  const drag = useDrag(room, p.drawing, size, setView, () => p.choose(undefined));
  const order = p.drawing.boxes.flatMap((b) => [{ b }, ...p.drawing.arrows
    .filter((a) => a.arrow.from === b.id && b.side !== "destination").map((a) => ({ a }))]);
  return (
    <div class="canvas" ref={room} {...drag}
      style={{ height: `min(68vh, ${Math.max(220, Math.ceil(p.drawing.height) + 60)}px)` }}>
      <svg class="picture" role="group" aria-label={p.title} width={size.width} height={size.height}
        onKeyDown={keys} onMouseLeave={() => p.point(undefined)}>
        <g transform={transform(view)}>
          <g aria-hidden="true">{lines(p.drawing).map((a) =>
            <path key={a.id} class={`line ${classOf(p, "arrow", a.id, a.className)}`} d={a.line} />)}</g>
          {order.map((o) => "b" in o ? <BoxShape key={o.b!.key} b={o.b!} p={p} />
            : <ArrowShape key={o.a!.id} a={o.a!} p={p} />)}
        </g>
      </svg>
      <Tools zoomBy={(f) => setView((v) => zoom(v, f, size.width / 2, size.height / 2))}
        fitAll={() => setView(fit(p.drawing, size))} />
    </div>
  );
}

/** begin shows all of it if that can be read, else its beginning. */
const begin = (d: Drawing, size: Size): View => fit(d, size, legible);

function Tools({ zoomBy, fitAll }: { zoomBy: (f: number) => void; fitAll: () => void }) {
  return (
    <div class="canvas-tools" role="group" aria-label="Zoom">
      <button type="button" aria-label="Zoom in" title="Zoom in (+)" onClick={() => zoomBy(1.25)}>+</button>
      <button type="button" aria-label="Zoom out" title="Zoom out (−)" onClick={() => zoomBy(0.8)}>−</button>
      <button type="button" title="Show everything (0)" onClick={fitAll}>Fit</button>
    </div>
  );
}

function classOf(p: CanvasProps, kind: Choice["kind"], id: string, own: string): string {
  const dim = p.lit !== undefined && !p.lit[kind === "box" ? "boxes" : "arrows"].has(id);
  const on = p.chosen?.kind === kind && p.chosen.id === id;
  return `${own}${dim ? " dimmed" : p.lit !== undefined ? " lit" : ""}${on ? " chosen" : ""}`;
}

/** stop makes a shape one that can be chosen. Its title names it, as SVG has it. */
const stop = (p: CanvasProps, c: Choice) => ({
  tabIndex: 0, role: "button" as const,
  "aria-pressed": p.chosen?.kind === c.kind && p.chosen.id === c.id,
  onClick: (e: Event) => { e.stopPropagation(); p.choose(c); },
  onFocus: () => p.point(c), onBlur: () => p.point(undefined),
  onMouseEnter: () => p.point(c),
});

function BoxShape({ b, p }: { b: DrawnBox; p: CanvasProps }) {
  return (
    <g class={classOf(p, "box", b.id, b.className)} data-stop={b.key}
      {...stop(p, { kind: "box", id: b.id })}>
      <title>{b.name}</title>
      <rect x={b.x} y={b.y} width={b.width} height={b.height} rx="6" />
      <text class="label" x={b.x + 10} y={b.y + 20}>{b.label}</text>
      {b.about.map((line, n) => <text key={n} class="about" x={b.x + 10} y={b.y + 38 + 16 * n}>
        {line}</text>)}
      {b.hub && <text class="about" x={b.x + 10} y={b.y + b.height - 10}>{b.hub}</text>}
    </g>
  );
}

function ArrowShape({ a, p }: { a: DrawnArrow; p: CanvasProps }) {
  return (
    <g class={classOf(p, "arrow", a.id, a.className)} data-stop={a.id}
      {...stop(p, { kind: "arrow", id: a.id })}>
      <title>{a.name}</title>
      <path class="near" d={a.line} />
      {isSelf(a) && <path class="line" d={a.line} />}
      <path class="head" d={a.head} />
      {a.label && <>
        <rect class="under" x={a.label.x - a.label.width / 2} y={a.label.y - 9}
          width={a.label.width} height="18" rx="3" />
        <text class="service" x={a.label.x} y={a.label.y + 4}>{a.label.text}</text>
      </>}
    </g>
  );
}

/** useSize follows the size of an element. */
function useSize(of: { current: HTMLElement | null }): Size {
  const [size, set] = useState<Size>({ width: 600, height: 400 });
  useEffect(() => {
    const at = of.current;
    if (at === null) return;
    const look = (): void => set({ width: at.clientWidth, height: at.clientHeight });
    look();
    const watch = new ResizeObserver(look);
    watch.observe(at);
    return () => watch.disconnect();
  }, []);
  return size;
}

/** useKeys walks by arrow keys, chooses by Enter, lets go by Esc, and makes larger and smaller. */
function useKeys(p: CanvasProps, room: { current: HTMLElement | null },
  show: (part: { x: number; y: number } & Size) => void, zoomBy: (how: number) => void) {
  const anchor = useRef<string>();
  return (e: KeyboardEvent) => {
    const shape = (e.target as Element).closest("[data-stop]");
    const id = shape?.getAttribute("data-stop");
    if (e.key === "Escape") p.choose(undefined);
    else if (e.key === "+" || e.key === "=") zoomBy(1.25);
    else if (e.key === "-") zoomBy(0.8);
    else if (e.key === "0") zoomBy(0);
    else if (shape instanceof SVGElement && id && (e.key === "Enter" || e.key === " ")) {
      shape.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    } else if (id && e.key.startsWith("Arrow")) walk(id, e.key as Way);
    else return;
    e.preventDefault();
  };

  function walk(id: string, way: Way): void {
    const box = p.drawing.boxes.find((b) => b.key === id);
    if (box !== undefined) anchor.current = box.id;
    const at: Stop = { kind: box === undefined ? "arrow" : "box", id };
    const next = step(p.drawing, at, way, anchor.current);
    const shape = [...room.current?.querySelectorAll<SVGGElement>("[data-stop]") ?? []]
      .find((s) => s.getAttribute("data-stop") === next.id);
    shape?.focus({ preventScroll: true });
    show(placeOf(p.drawing, next));
  }
}

/** placeOfChoice is where a box or an arrow is drawn; undefined = it is not. */
function placeOfChoice(d: Drawing, c: Choice): ({ x: number; y: number } & Size) | undefined {
  if (c.kind === "box") return d.boxes.find((b) => b.id === c.id);
  return d.arrows.some((a) => a.id === c.id) ? placeOf(d, c) : undefined;
}

function placeOf(d: Drawing, at: Stop): { x: number; y: number } & Size {
  const box = d.boxes.find((b) => b.key === at.id);
  if (box !== undefined) return box;
  const label = d.arrows.find((a) => a.id === at.id)?.label;
  if (label !== undefined) {
    return { x: label.x - label.width / 2, y: label.y - 9, width: label.width, height: 18 };
  }
  const from = d.boxes.find((b) => b.id === at.id.split("\n")[0]);
  return from ?? { x: 0, y: 0, width: 1, height: 1 };
}

/** useDrag moves the drawing by a pointer, and makes it larger by a wheel with Ctrl or a pinch. */
function useDrag(room: { current: HTMLElement | null }, d: Drawing, size: Size,
  set: (how: (v: View) => View) => void, letGo: () => void) {
  const from = useRef<{ x: number; y: number; moved: boolean }>();
  useEffect(() => {
    const wheel = (e: WheelEvent): void => {
      if (!e.ctrlKey && !e.metaKey) return;
      e.preventDefault();
      const at = room.current!.getBoundingClientRect();
      set((v) => zoom(v, Math.exp(-e.deltaY / 300), e.clientX - at.left, e.clientY - at.top));
    };
    room.current?.addEventListener("wheel", wheel, { passive: false });
    return () => room.current?.removeEventListener("wheel", wheel);
  }, []);
  return {
    onPointerDown: (e: PointerEvent) => {
      if (e.button === 0 && !(e.target as Element).closest("button")) {
        from.current = { x: e.clientX, y: e.clientY, moved: false };
      }
    },
    onPointerMove: (e: PointerEvent) => {
      const f = from.current;
      if (f === undefined || (e.buttons & 1) === 0) return;
      const dx = f.x - e.clientX, dy = f.y - e.clientY;
      if (!f.moved && Math.hypot(dx, dy) < 4) return;
      from.current = { x: e.clientX, y: e.clientY, moved: true };
      set((v) => pan(v, dx, dy, d, size));
    },
    onClick: () => {
      if (from.current?.moved === false) letGo();
      from.current = undefined;
    },
    onClickCapture: (e: Event) => {
      if (from.current?.moved !== true) return;
      from.current = undefined;
      e.stopPropagation();
    },
  };
}
