// A moment as its age, which stays current, with the whole time in the reader's zone beside it.

import { useEffect, useState } from "preact/hooks";

import { ageText, isTime, lengthText, nextAge, secondsLeft } from "../model/time";

const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export function Age({ at, asLength }: { at: string | undefined;
  /** asLength = how long it is since then. */
  asLength?: boolean;
}) {
  const [now, set] = useState(Date.now());
  useEffect(() => {
    const timer = setTimeout(() => set(Date.now()), nextAge(at, now));
    return () => clearTimeout(timer);
  }, [at, now]);
  if (!isTime(at)) return <span class="dim">never</span>;
  return <time class="nowrap" dateTime={at} title={whole.format(new Date(at))}>
    {asLength ? lengthText(Math.max(1, (now - Date.parse(at)) / 1000)) : ageText(at, Math.max(now, 0))}
  </time>;
}

/** A moment in the reader's zone. */
export const Moment = ({ at }: { at: string }) => isTime(at)
  ? <time class="nowrap" dateTime={at}>{whole.format(new Date(at))}</time> : <span>never</span>;

/** The seconds until a moment, each second; 0 once it is there. They are counted from when they are
 *  drawn: the page may have stood for long before there was a moment to wait for. */
export function useCountdown(until: number | undefined): number {
  const [round, next] = useState(0);
  const left = secondsLeft(until, Date.now());
  useEffect(() => {
    if (left === 0) return;
    const timer = setTimeout(() => next(round + 1), 250);
    return () => clearTimeout(timer);
  }, [until, left === 0, round]);
  return left;
}
