// What part of a drawing is seen, and how large. Pure; the picture calls it for wheels, drags and
// keys.

/** View: x and y are the point of the drawing in the left upper corner, scale is pixels a unit. */
export interface View {
  x: number;
  y: number;
  scale: number;
}

export interface Size { width: number; height: number }

export const leastScale = 0.1;
export const mostScale = 4;
/** Below this a text cannot be read: who fits a picture sees part of it rather. */
export const legible = 0.55;

const clamp = (v: number, least: number, most: number): number =>
  Math.min(most, Math.max(least, v));

/** fit shows all of a drawing in the middle, never larger than it is. */
export function fit(drawing: Size, room: Size, least = leastScale): View {
  const scale = clamp(Math.min(room.width / drawing.width, room.height / drawing.height, 1),
    least, 1);
  return centred(drawing, room, scale);
}

function centred(drawing: Size, room: Size, scale: number): View {
  const spare = (have: number, used: number): number =>
    used * scale < have ? (used - have / scale) / 2 : 0;
  return { scale, x: spare(room.width, drawing.width), y: spare(room.height, drawing.height) };
}

/** zoom keeps the point of the room at x and y where it is. */
export function zoom(v: View, factor: number, x: number, y: number): View {
  const scale = clamp(v.scale * factor, leastScale, mostScale);
  return { scale, x: v.x + x / v.scale - x / scale, y: v.y + y / v.scale - y / scale };
}

/** pan moves by pixels, and keeps some of the drawing in sight. */
export function pan(v: View, dx: number, dy: number, drawing: Size, room: Size): View {
  const keep = 60 / v.scale;
  return { scale: v.scale,
    x: clamp(v.x + dx / v.scale, keep - room.width / v.scale, drawing.width - keep),
    y: clamp(v.y + dy / v.scale, keep - room.height / v.scale, drawing.height - keep) };
}

/** reveal moves as little as is needed to show a part of the drawing. */
export function reveal(v: View, part: { x: number; y: number } & Size, room: Size): View {
  const along = (at: number, from: number, size: number, have: number): number => {
    const pad = Math.min(24 / v.scale, Math.max(0, (have - size) / 2));
    if (from - pad < at || size + 2 * pad > have) return from - pad;
    return Math.max(at, from + size + pad - have);
  };
  return { scale: v.scale,
    x: along(v.x, part.x, part.width, room.width / v.scale),
    y: along(v.y, part.y, part.height, room.height / v.scale) };
}

/** transform is the view as SVG has it. */
export const transform = (v: View): string =>
  `scale(${v.scale}) translate(${-v.x} ${-v.y})`;
