// How far a generation is: in force on n of n hosts, current until it is on all. Pages that made a
// change show it.

import { useEffect, useState } from "preact/hooks";

import { isAborted } from "../api";
import type { Status } from "../api";
import { useApp } from "../app";
import { counted } from "../model/list";
import { Notice } from "../ui/notice";

/** Asks until every host has it; each question waits for news at the server. */
function useForce(generation: number): Status | undefined {
  const { client, say } = useApp();
  const [status, set] = useState<Status>();
  useEffect(() => {
    const control = new AbortController();
    const run = async () => {
      let wait: string | undefined; // the first answer comes at once
      while (!control.signal.aborted) {
        try {
          const s = await client.status({ generation, wait }, control.signal);
          set(s);
          if (s.in_force) {
            say(`Generation ${generation} is in force on all ${s.hosts} hosts.`);
            return;
          }
          wait = s.reached === 0 && !wait ? "1s" : "5s";
        } catch (e) {
          if (isAborted(e)) return;
          await new Promise((done) => setTimeout(done, 2000));
        }
      }
    };
    void run();
    return () => control.abort();
  }, [client, generation]);
  return status;
}

export function InForce({ generation }: { generation: number }) {
  const status = useForce(generation);
  if (!status) return <Notice title={`Generation ${generation} is saved`} live><p>Waiting for the hosts …</p></Notice>;
  if (status.hosts === 0) {
    return (
      <Notice kind="good" title={`Generation ${generation} is saved`} live>
        <p>No host has an instance yet, so there is nothing to enforce.</p>
      </Notice>
    );
  }
  const text = `in force on ${status.reached} of ${counted(status.hosts, "host")}`;
  return (
    <Notice kind={status.in_force ? "good" : "info"} title={`Generation ${generation} is ${text}`} live>
      {!status.in_force && <>
        <progress max={status.hosts} value={status.reached} aria-label={text} />
        <ul class="small">{(status.missing ?? []).slice(0, 5).map((m) => (
          <li key={m.host}><strong>{m.host}</strong>: {m.why || "not yet"}</li>
        ))}</ul>
      </>}
    </Notice>
  );
}
