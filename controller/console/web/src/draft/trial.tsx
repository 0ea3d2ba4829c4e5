// The change on trial: it is kept, or taken back, from any page; of itself it is taken back in time.

import { useEffect, useRef, useState } from "preact/hooks";

import { isAborted, newKey } from "../api";
import type { OnTrial } from "../api";
import { mayEdit, seesAll, useApp } from "../app";
import { leftOf } from "../model/time";
import { Notice } from "../ui/notice";
import { useCountdown } from "../ui/time";

/** The trial that runs, and when it ends by this clock. */
function useTrial(): [{ trial: OnTrial; end: number } | undefined, () => void] {
  const { client, who, generation } = useApp();
  const [seen, set] = useState<{ trial: OnTrial; end: number }>();
  const [round, again] = useState(0);
  useEffect(() => {
    if (!seesAll(who)) return;
    const control = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    client.trial(control.signal).then(({ body: { trial }, at }) => set((s) => !trial ? undefined
      : s?.trial.id === trial.id ? s : { trial, end: Date.now() + leftOf(trial, at) }),
    (e) => { if (!isAborted(e)) timer = setTimeout(() => again((n) => n + 1), 3000); });
    return () => { control.abort(); clearTimeout(timer); };
  }, [client, generation, round]);
  useEffect(() => { // once it should be over, ask whether it is
    if (!seen) return;
    const timer = setTimeout(() => again((n) => n + 1), Math.max(1000, seen.end - Date.now() + 500));
    return () => clearTimeout(timer);
  }, [seen, round]);
  return [seen, () => again((n) => n + 1)];
}

export function TrialBar() {
  const { client, who, say } = useApp();
  const [seen, again] = useTrial();
  const [error, setError] = useState("");
  const left = useCountdown(seen?.end);
  const key = useRef(newKey());
  if (!seen) return null;
  const { trial } = seen;
  const end = async (how: "confirm" | "abandon") => {
    setError("");
    try {
      await client[how](trial.generation, `${key.current}-${how}`);
      say(how === "confirm" ? `Generation ${trial.generation} is confirmed.`
        : `Generation ${trial.generation} was rolled back.`);
    } catch (e) {
      setError((e as Error).message);
    }
    again();
  };
  return (
    <aside aria-label="On trial"><Notice kind="warn" title={`Generation ${trial.generation} is on trial`}>
      <p>Applied by {trial.by}. {left > 0
        ? <>It is rolled back in <strong class="count">{left} s</strong> unless it is confirmed.</>
        : "It is being rolled back."}</p>
      {error && <p class="lost">{error}</p>}
      {mayEdit(who) && <div class="row">
        <button type="button" class="main" onClick={() => void end("confirm")}>Confirm</button>
        <button type="button" onClick={() => void end("abandon")}>Roll back now</button>
      </div>}
    </Notice></aside>
  );
}
