// What differs between two texts, line by line (the longest common subsequence, as diff has it). The
// page of a change shows it. No DOM.

export interface DiffLine {
  sign: "+" | "-" | " ";
  text: string;
}

/** most bounds the work: beyond it what is between is told as taken out and put in. */
const most = 3000;

/** The steps from a to b, where neither their beginnings nor their ends are alike. */
function middle(a: readonly string[], b: readonly string[]): DiffLine[] {
  const out: DiffLine[] = [];
  if (a.length > most || b.length > most || a.length * b.length > 4_000_000) {
    return [...a.map((text): DiffLine => ({ sign: "-", text })),
      ...b.map((text): DiffLine => ({ sign: "+", text }))];
  }
  const wide = b.length + 1;
  const length = new Uint16Array((a.length + 1) * wide);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      length[i * wide + j] = a[i] === b[j] ? (length[(i + 1) * wide + j + 1] ?? 0) + 1
        : Math.max(length[(i + 1) * wide + j] ?? 0, length[i * wide + j + 1] ?? 0);
    }
  }
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      out.push({ sign: " ", text: a[i++] as string });
      j++;
    } else if (i < a.length && (j >= b.length ||
      (length[(i + 1) * wide + j] ?? 0) >= (length[i * wide + j + 1] ?? 0))) {
      out.push({ sign: "-", text: a[i++] as string });
    } else {
      out.push({ sign: "+", text: b[j++] as string });
    }
  }
  return out;
}

/** The lines that differ, with some around them; "…" stands for what is left out. */
export function textDiff(before: string, after: string, around = 3): DiffLine[] {
  if (before === after) return [];
  const a = before.split("\n"), b = after.split("\n");
  let head = 0, tail = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  while (tail < a.length - head && tail < b.length - head &&
    a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const same = (text: string): DiffLine => ({ sign: " ", text });
  const all = [...a.slice(Math.max(0, head - around), head).map(same),
    ...middle(a.slice(head, a.length - tail), b.slice(head, b.length - tail)),
    ...a.slice(a.length - tail, a.length - tail + around).map(same)];
  const out: DiffLine[] = [];
  let isLeftOut = head > around;
  all.forEach((line, n) => {
    const isNear = line.sign !== " " || all.slice(Math.max(0, n - around), n + around + 1)
      .some((o) => o.sign !== " ");
    if (!isNear) { isLeftOut = true; return; }
    if (isLeftOut) out.push(same("…"));
    isLeftOut = false;
    out.push(line);
  });
  return out;
}
