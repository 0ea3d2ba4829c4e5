// How wide texts are, and texts that are short enough. Pure; what draws calls it.

/** Sizes in pixels: of a letter of the names, at 14 px, and of what is in the code font, at 12 px. */
export const nameLetter = 9.8;
export const codeLetter = 7.3;

const segments = new Intl.Segmenter("en", { granularity: "grapheme" });

// Letters that take two columns: those of East Asia, and pictures.
const wide = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Extended_Pictographic}/u;

/** columns is how many letters wide a text is. */
export function columns(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let out = 0;
  for (const { segment } of segments.segment(text)) out += wide.test(segment) ? 2 : 1;
  return out;
}

/** short cuts a text that is wider than some columns. */
export function short(text: string, most: number): string {
  if (columns(text) <= most) return text;
  let out = "", used = 1;
  for (const { segment } of segments.segment(text)) {
    used += wide.test(segment) ? 2 : 1;
    if (used > most) break;
    out += segment;
  }
  return out + "…";
}

/** shortList tells as many words as there is room for, and at least one: "tcp/80, +2". */
export function shortList(words: readonly string[], room: number): string {
  const [first, ...rest] = words;
  if (first === undefined) return "nothing";
  let text = short(first, Math.max(room, 12));
  for (const [n, word] of rest.entries()) {
    const left = rest.length - n - 1;
    const more = left === 0 ? "" : `, +${left}`;
    if (columns(`${text}, ${word}${more}`) > room) return `${text}, +${left + 1}`;
    text += ", " + word;
  }
  return text;
}

/** count is "1 rule", "2 rules". */
export const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? "" : "s"}`;
