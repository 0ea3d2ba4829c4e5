// Where an arrow key leads from a box or an arrow of a drawing. Pure; the picture calls it.

import type { Drawing } from "./drawing";

/** What can be gone to: a box by its key, or an arrow by its id. */
export interface Stop {
  kind: "box" | "arrow";
  id: string;
}

export type Way = "ArrowLeft" | "ArrowRight" | "ArrowUp" | "ArrowDown";

/**
 * step goes on from a stop. From a box, right is its first arrow that leads away, left the first
 * that leads to it, up and down are the boxes above and below. From an arrow, right and left are
 * its ends, up and down the other arrows that meet the box it was reached from, in their order.
 */
export function step(d: Drawing, at: Stop, way: Way, anchor: string | undefined): Stop {
  return at.kind === "box" ? fromBox(d, at, way) : fromArrow(d, at, way, anchor);
}

function fromBox(d: Drawing, at: Stop, way: Way): Stop {
  const box = d.boxes.find((b) => b.key === at.id);
  if (box === undefined) return at;
  if (way === "ArrowRight" || way === "ArrowLeft") {
    const away = way === "ArrowRight";
    const arrow = d.arrows.find((a) =>
      (away ? a.arrow.from : a.arrow.to) === box.id && a.arrow.from !== a.arrow.to);
    return arrow === undefined ? at : { kind: "arrow", id: arrow.id };
  }
  const order = [...d.boxes].sort((a, b) => a.x - b.x || a.y - b.y);
  const next = order[order.indexOf(box) + (way === "ArrowDown" ? 1 : -1)];
  return next === undefined ? at : { kind: "box", id: next.key };
}

function fromArrow(d: Drawing, at: Stop, way: Way, anchor: string | undefined): Stop {
  const arrow = d.arrows.find((a) => a.id === at.id);
  if (arrow === undefined) return at;
  if (way === "ArrowRight" || way === "ArrowLeft") {
    const end = way === "ArrowRight" ? arrow.arrow.to : arrow.arrow.from;
    const skip = way === "ArrowRight" ? "source" : "destination";
    const box = d.boxes.find((b) => b.id === end && b.side !== skip);
    return box === undefined ? at : { kind: "box", id: box.key };
  }
  const end = anchor ?? arrow.arrow.from;
  const mine = d.arrows.filter((a) => a.arrow.from === end || a.arrow.to === end);
  const next = mine[mine.indexOf(arrow) + (way === "ArrowDown" ? 1 : -1)];
  return next === undefined ? at : { kind: "arrow", id: next.id };
}
