// Moments in words. No DOM; ui/time.tsx keeps them current.

const steps: [number, string][] = [[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]];

/** How long something took or lasts: "3 s", "5 min", "2 h", "4 d". */
export function lengthText(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  for (const [size, unit] of steps) {
    if (s >= size) return `${Math.floor(s / size)} ${unit}`;
  }
  return "0 s";
}

/** Whether a time is one: the zero time of the server is none. */
export const isTime = (at?: string): at is string =>
  at !== undefined && at !== "" && !at.startsWith("0001-") && !Number.isNaN(Date.parse(at));

/** "now", "5 min ago", "in 2 h"; "never" without a time. */
export function ageText(at: string | undefined, now: number): string {
  if (!isTime(at)) return "never";
  const seconds = (now - Date.parse(at)) / 1000;
  if (Math.abs(seconds) < 2) return "now";
  return seconds > 0 ? `${lengthText(seconds)} ago` : `in ${lengthText(-seconds)}`;
}

/** How long is left of what began and ends by the server's clock, in milliseconds. The server told
 *  it at a whole second of its clock (NaN = it did not say): rather a second less than one too much. */
export function leftOf(of: { at: string; until: string }, told: number): number {
  const end = Date.parse(of.until), length = end - Date.parse(of.at);
  return Number.isNaN(told) ? length : Math.max(0, Math.min(length, end - told - 1000));
}

/** The whole seconds until a moment; 0 once it is there, or without one. */
export const secondsLeft = (until: number | undefined, now: number): number =>
  until === undefined ? 0 : Math.max(0, Math.ceil((until - now) / 1000));

/** When an age has another text, in milliseconds from now. */
export function nextAge(at: string | undefined, now: number): number {
  if (!isTime(at)) return 60_000;
  const seconds = Math.abs(now - Date.parse(at)) / 1000;
  return seconds < 60 ? 1_000 : seconds < 3_600 ? 15_000 : 300_000;
}
