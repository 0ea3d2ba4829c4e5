// Denied packets as they come, each with a way to admit it. The pages /denied and /instances/{name}
// show it.

import { useEffect, useRef, useState } from "preact/hooks";

import type { Chosen, Missing, Packet, Problem } from "../api";
import { mayEdit, useApp } from "../app";
import { at } from "../go";
import { serviceOf, withPacket } from "../model/denied";
import type { Seen } from "../model/denied";
import { fits } from "../model/list";
import { Failure, MissingHosts, Notice } from "../ui/notice";
import { Table } from "../ui/table";
import type { Column } from "../ui/table";
import { Age } from "../ui/time";
import { InstanceLink } from "../ui/words";
import { Admit } from "./admit";

interface Heard {
  list: Seen[];
  missing: Missing[];
  state: "asking" | "live" | "waiting";
  why?: string;
  over?: Problem;
}

const drawEvery = 250; // ms: a flood of packets is drawn so often

/** The packets of a stream; paused, they gather unseen. */
function useDenied(chosen: Chosen): Heard {
  const { client } = useApp();
  const [shown, show] = useState<Heard>({ list: [], missing: [], state: "asking" });
  const now = useRef(shown);
  const key = JSON.stringify(chosen);
  useEffect(() => {
    const control = new AbortController();
    now.current = { list: [], missing: [], state: "asking" };
    const set = (part: Partial<Heard>) => { now.current = { ...now.current, ...part }; };
    const timer = setInterval(() => show(now.current), drawEvery);
    void client.stream("/denied", chosen, { signal: control.signal,
      event: (kind, data) => {
        if (kind === "missing") {
          const m = data as Missing;
          set({ missing: [...now.current.missing.filter((o) => o.host !== m.host), m] });
        } else if ((data as Packet).verdict === "denied") {
          set({ list: withPacket(now.current.list, data as Packet) });
        }
      },
      state: (state, why) => set({ state, why, ...(state === "live" ? { missing: [] } : {}) }),
      over: (over) => set({ over }),
    });
    return () => { control.abort(); clearInterval(timer); };
  }, [client, key]);
  return shown;
}

const end = (name: string | undefined, address: string) => name
  ? <><InstanceLink name={name} /> <code class="dim wide-only">{address}</code></> : <code>{address}</code>;

const columnsOf = (admit: ((p: Packet) => void) | undefined): Column<Seen>[] => [
  { title: "Last seen", by: (s) => -s.number, cell: (s) => <Age at={s.last.time} />, width: "7.5em" },
  { title: "From", by: (s) => s.last.from ?? s.last.src, cell: (s) => end(s.last.from, s.last.src) },
  { title: "To", by: (s) => s.last.to ?? s.last.dst, cell: (s) => end(s.last.to, s.last.dst) },
  { title: "Service", by: (s) => serviceOf(s.last), cell: (s) => <code class="service">{serviceOf(s.last)}</code> },
  { title: "Denied at", wide: true, by: (s) => s.last.instance,
    cell: (s) => <>{s.last.direction} of {s.last.instance}
      {s.last.host && <span class="dim"> on {s.last.host}</span>}</> },
  { title: "Reason", wide: true, by: (s) => s.last.reason ?? "",
    cell: (s) => <span class="dim">{s.last.reason}</span> },
  { title: "Count", kind: "number", by: (s) => s.count, cell: (s) => s.count, width: "5em" },
  { title: "Admit", kind: "action", width: "11em", cell: (s) => {
    const what = `${serviceOf(s.last)} from ${s.last.from ?? s.last.src}`;
    return (
      <span class="row tight end">
        <a aria-label={`Why? ${what}`} href={at.why(s.last.from ?? s.last.src,
          s.last.to ?? s.last.dst, serviceOf(s.last))}>Why?</a>
        {admit && <button type="button" class="bare" aria-label={`Admit this: ${what}`}
          onClick={() => admit(s.last)}>Admit this</button>}
      </span>);
  } },
];

const textOf = (s: Seen) => [s.last.from, s.last.src, s.last.to, s.last.dst, serviceOf(s.last),
  s.last.instance, s.last.host, s.last.reason, s.last.direction].join(" ");

export function DeniedList({ chosen, filter = "" }: { chosen: Chosen; filter?: string }) {
  const { who } = useApp();
  const heard = useDenied(chosen);
  const [frozen, freeze] = useState<Seen[]>();
  const [admitting, setAdmitting] = useState<Packet>();
  const list = (frozen ?? heard.list).filter((s) => fits(textOf(s), filter));
  if (heard.over) return <Failure error={heard.over} what="load denied packets" />;
  return (
    <div class="stack">
      <div class="row">
        <span role="status" class="row tight"><span class={`dot ${heard.state}`} aria-hidden="true" />
          {heard.state === "live" ? frozen ? "paused" : "live" : heard.state === "waiting"
            ? `reconnecting: ${heard.why}` : "connecting …"}</span>
        <button type="button" onClick={() => freeze(frozen ? undefined : heard.list)}>
          {frozen ? "Resume" : "Pause"}</button>
      </div>
      {list.length > 0 ? <Table name="Denied packets" rows={list} keyOf={(s) => s.key}
        columns={columnsOf(mayEdit(who) ? setAdmitting : undefined)} />
        : <Notice><p>{heard.list.length > 0 ? `No packets match “${filter}”.`
          : "No packets denied since this page was opened. The first packet of a connection is " +
            "shown as soon as a host denies it."}</p></Notice>}
      <MissingHosts list={heard.missing} />
      {admitting && <Admit packet={admitting} close={() => setAdmitting(undefined)} />}
    </div>
  );
}
