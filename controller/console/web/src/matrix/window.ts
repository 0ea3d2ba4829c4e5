// Which rows or columns of a long table are in sight, so that no others are made. Pure; the matrix
// calls it.

/** A part of a list: those from `first` up to but without `end`. */
export interface Part {
  first: number;
  end: number;
}

/** inSight is the part that is seen where one has scrolled to, and some more on both sides. */
export function inSight(scrolled: number, room: number, size: number, count: number, more = 4):
  Part {
  const first = Math.max(0, Math.min(count, Math.floor(scrolled / size)) - more);
  const end = Math.min(count, Math.ceil((scrolled + room) / size) + more);
  return { first, end: Math.max(first, end) };
}

/** aligned makes a part one of whole blocks, so that scrolling on by a row asks for nothing new. */
export function aligned(p: Part, block: number, count: number): Part {
  return { first: Math.floor(p.first / block) * block,
    end: Math.min(count, Math.ceil(p.end / block) * block) };
}

/** toShow is where to scroll to so that an item is in sight; as little as is needed. */
export function toShow(scrolled: number, room: number, size: number, n: number): number {
  const top = n * size;
  if (top < scrolled) return top;
  return Math.max(scrolled, top + size - room);
}
