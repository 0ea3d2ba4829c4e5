// A change: who made it, who gained and who lost, what it did to the policy, and the way back. The
// route /history/{generation} shows it.

import { useRef, useState } from "preact/hooks";

import { newKey } from "../api";
import type { Change, Done } from "../api";
import { mayOperate, seesAll, useApp, useAsk } from "../app";
import { InForce } from "../draft/force";
import { textDiff } from "../model/textdiff";
import type { Params } from "../router";
import { Dialog } from "../ui/dialog";
import { Failure, NotOfProjects, Notice, Waiting } from "../ui/notice";
import { Moment } from "../ui/time";
import { Access } from "../ui/words";

export default function ChangePage({ params }: { params: Params }) {
  const { who } = useApp();
  return seesAll(who) ? <Page params={params} /> : <NotOfProjects what="Changes" who={who} />;
}

function Page({ params }: { params: Params }) {
  const n = Number(params.generation);
  const { client, who, generation, trial } = useApp();
  const asked = useAsk((s) => client.change(n, s), [client, n, trial]);
  const [going, setGoing] = useState<number>();
  const [made, setMade] = useState<number>();
  const c = asked.data;
  return (
    <div class="stack wide">
      <header class="stack">
        <nav class="crumbs" aria-label="Where this is"><a href="/history">History</a> / </nav>
        <h1>Generation {params.generation}</h1>
      </header>
      {made !== undefined && <InForce generation={made} />}
      {asked.error ? <Failure error={asked.error} what="load the change" again={asked.again} />
        : !c ? <Waiting what="change" /> : <>
          <Told c={c} />
          <Differs n={n} />
          {mayOperate(who) && <section class="card stack" aria-label="Roll back">
            <h2>Roll back</h2>
            <p class="prose">{n > 1 && `Generation ${n - 1} is the policy before this change, generation ${n} ` +
              "the one after it. "}A roll back is a new change, which can be rolled back in turn.</p>
            <div class="row">
              {n > 1 && <button type="button" onClick={() => setGoing(n - 1)}>
                Roll back to generation {n - 1}</button>}
              {n < generation && <button type="button" onClick={() => setGoing(n)}>
                Roll back to generation {n}</button>}
            </div>
          </section>}
        </>}
      {going !== undefined && <RollBack to={going} close={() => setGoing(undefined)}
        done={(d) => { setGoing(undefined); setMade(d.generation); }} />}
    </div>
  );
}

const Told = ({ c }: { c: Change }) => (
  <section class="card stack" aria-label="Summary">
    <dl class="facts">
      <div><dt>When</dt><dd><Moment at={c.at} /></dd></div>
      <div><dt>Who</dt><dd>{c.by}</dd></div>
      <div><dt>What</dt><dd>{c.from}</dd></div>
      {c.confirm_by && <div><dt>On trial until</dt><dd><Moment at={c.confirm_by} /></dd></div>}
    </dl>
    <h2>Access changes</h2>
    <Access lines={c.lines} />
  </section>
);

/** The policy before and after, as files; both are had only when somebody wants to see. */
function Differs({ n }: { n: number }) {
  const [open, setOpen] = useState(false);
  return (
    <details class="card" onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary><h2>Policy diff</h2></summary>
      {open && <Diff n={n} />}
    </details>
  );
}

function Diff({ n }: { n: number }) {
  const { client } = useApp();
  const asked = useAsk(async (s) => {
    const [before, after] = await Promise.all([n > 1 ? client.policy(n - 1, s) : "",
      client.policy(n, s)]);
    return textDiff(before, after);
  }, [client, n]);
  if (asked.error) return <Failure error={asked.error} what="load the diff" again={asked.again} />;
  if (!asked.data) return <Waiting what="both policies" />;
  if (asked.data.length === 0) return <p>The policy is the same as before.</p>;
  const shown = asked.data.slice(0, 1500);
  return (
    <pre class="textdiff" tabIndex={0} aria-label="Difference">{shown.map((l, at) => (
      <span key={at} class={{ "+": "gained", "-": "lost", " ": "dim" }[l.sign]}>
        {l.sign === "-" ? "−" : l.sign} {l.text}{"\n"}</span>
    ))}{asked.data.length > shown.length && `… ${asked.data.length - shown.length} more lines`}</pre>
  );
}

function RollBack({ to, close, done }: {
  to: number; close: () => void; done: (d: Done) => void;
}) {
  const { client } = useApp();
  const plan = useAsk(() => client.rollback(to, true, newKey()), [client, to]);
  const key = useRef(newKey());
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const send = async () => {
    setBusy(true);
    try {
      done(await client.rollback(to, false, key.current));
    } catch (e) {
      setError(e);
      setBusy(false);
    }
  };
  const d = plan.data;
  return (
    <Dialog title={`Roll back to generation ${to}`} close={close} wide>
      {plan.error ? <Failure error={plan.error} what="load the plan" again={plan.again} />
        : !d ? <Waiting what="plan" /> : !d.changed ? (
          <Notice>Nothing to roll back: the policy is the same.</Notice>
        ) : <>
          <p>Access gained: {d.gained}, lost: {d.lost}</p>
          {d.access.length > 0 ? <Access lines={d.access} /> : <p>No one gains or loses access.</p>}
        </>}
      {error !== undefined && <Failure error={error} what="roll back" />}
      <div class="row end">
        <button type="button" onClick={close}>Cancel</button>
        <button type="button" class="main" disabled={!d?.changed || busy}
          onClick={() => void send()}>{busy ? "Rolling back …" : "Roll back"}</button>
      </div>
    </Dialog>
  );
}
