// Lists: which rows are meant, in which order, and which of them are in sight. No DOM.

/** Whether a row has all words of a filter, in any order. */
export function fits(text: string, filter: string): boolean {
  const low = text.toLowerCase();
  return filter.toLowerCase().split(/\s+/).every((word) => low.includes(word));
}

/** Whether what somebody types is a name that is found, and the beginning of no other one. */
export const settles = (text: string, found: readonly string[]): boolean =>
  found.includes(text) && !found.some((name) => name !== text && name.startsWith(text));

export type Value = string | number;

const order = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** Compares two values: numbers as such, names with numbers as people would. */
export const compare = (a: Value, b: Value): number =>
  typeof a === "number" && typeof b === "number" ? a - b : order.compare(String(a), String(b));

/** A list in the order of a value; what is equal stays in its order. */
export function sorted<T>(list: readonly T[], by: (v: T) => Value, down: boolean): T[] {
  const keyed = list.map((v, n): [Value, number, T] => [by(v), n, v]);
  keyed.sort((a, b) => (down ? -1 : 1) * compare(a[0], b[0]) || a[1] - b[1]);
  return keyed.map(([, , v]) => v);
}

/** The rows in sight, and some beyond: from first up to, not with, last. */
export function inSight(count: number, row: number, top: number, height: number,
  beyond = 8): { first: number; last: number } {
  const first = Math.max(0, Math.min(count, Math.floor(top / row) - beyond));
  const last = Math.min(count, Math.ceil((top + height) / row) + beyond);
  return { first, last: Math.max(first, last) };
}

/** A number of things in words: "1 member", "3,000 members". */
export const counted = (n: number, one: string, many = one + "s"): string =>
  `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

const sizes = ["", "k", "M", "G", "T"];

/** A large number in short: 1234 = "1.2k". */
export function short(n: number): string {
  let at = 0;
  while (n >= 1000 && at < sizes.length - 1) { n /= 1000; at++; }
  return at === 0 ? String(n) : (n < 10 ? n.toFixed(1) : String(Math.floor(n))) + sizes[at];
}
