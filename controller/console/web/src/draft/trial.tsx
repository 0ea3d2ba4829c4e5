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
  const { client, who, generation, trial: heard } = useApp();
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
  }, [client, generation, heard, round]);
  useEffect(() => { // once it should be over, ask whether it is
    if (!seen) return;
    const timer = setTimeout(() => again((n) => n + 1), Math.max(1000, seen.end - Date.now() + 500));
    return () => clearTimeout(timer);
  }, [seen, round]);
  return [seen, () => again((n) => n + 1)];
}

/** What could not be done, and to which generation: it is told also where its bar is gone since. */
interface Failed { generation: number; how: "confirm" | "abandon"; why: string }

export function TrialBar() {
  const [seen, again] = useTrial();
  const [failed, setFailed] = useState<Failed>();
  if (!seen && !failed) return null;
  return (
    <aside aria-label="On trial">
      {failed && <Notice kind="bad" title={`Generation ${failed.generation} was not ${
        failed.how === "confirm" ? "confirmed" : "rolled back"} here`}>
        <p>{failed.why}</p>
        <div><button type="button" onClick={() => setFailed(undefined)}>OK</button></div>
      </Notice>}
      {/* a bar of its own for each: a click on that of one is none on that of the next */}
      {seen && <Bar key={seen.trial.id} trial={seen.trial} ends={seen.end}
        done={(f) => { setFailed(f); again(); }} />}
    </aside>
  );
}

function Bar({ trial, ends, done }: {
  trial: OnTrial; ends: number; done: (failed?: Failed) => void;
}) {
  const { client, who, say } = useApp();
  const left = useCountdown(ends);
  const key = useRef(newKey());
  const { generation } = trial;
  const end = async (how: Failed["how"]) => {
    try {
      await client[how](generation, `${key.current}-${how}`);
      say(`Generation ${generation} ${how === "confirm" ? "is confirmed" : "was rolled back"}.`);
      done();
    } catch (e) {
      done({ generation, how, why: (e as Error).message });
    }
  };
  return (
    <Notice kind="warn" title={`Generation ${generation} is on trial`}>
      <p>Applied by {trial.by}. {left > 0
        ? <>It is rolled back in <strong class="count">{left} s</strong> unless it is confirmed.</>
        : "It is being rolled back."}</p>
      {mayEdit(who) && <div class="row">
        <button type="button" class="main" onClick={() => void end("confirm")}>Confirm</button>
        <button type="button" onClick={() => void end("abandon")}>Roll back now</button>
      </div>}
    </Notice>
  );
}
