// The draft: what it changes, what that would do, a message, and then: in force, confirmed or taken
// back. The route /draft shows it.

import { useEffect, useState } from "preact/hooks";

import { Problem, newKey } from "../api";
import { mayEdit, seesAll, useApp, useAsk, useCalm } from "../app";
import { at } from "../go";
import { counted } from "../model/list";
import { messageOf, putGroup, putInstance, sizeOf, told, withoutApplied } from "../model/draft";
import type { Conflict, Draft, Told } from "../model/draft";
import { decide } from "../model/merge";
import { Check, TextField } from "../ui/field";
import { Empty, Failure, Notice, Waiting } from "../ui/notice";
import { apply, changeOf, keepApplied, readApplied, refresh } from "./apply";
import type { Applied } from "./apply";
import { InForce } from "./force";
import { PlanView } from "./plan";
import { useDraft } from "./store";

export default function DraftPage() {
  const { project } = useApp();
  const [draft, change] = useDraft(project);
  const [applied, setApplied] = useState<Applied | undefined>(readApplied);
  const shown = applied?.project === project ? applied : undefined;
  const put = (a: Applied | undefined) => { keepApplied(a); setApplied(a); };
  return (
    <div class="stack wide">
      <h1>Draft</h1>
      {shown && <Outcome of={shown} put={put} again={() => change(() => shown.draft)} />}
      {sizeOf(draft) > 0 ? <Review draft={draft} change={change} done={put} /> : !shown && (
        <Empty title="No changes">
          <p>Changes to groups and instances are collected here first, with what they would do,
            before anyone else sees them.</p>
          <div><a class="button" href="/">Go to groups</a></div>
        </Empty>
      )}
    </div>
  );
}

/** Whether a change on trial was taken back; undefined = nobody can say (yet). */
function useTakenBack(of: Applied): boolean | undefined {
  const { client, generation, trial: onTrial, who } = useApp();
  const asked = useAsk(async (signal) => {
    if (!of.draft.confirm || !seesAll(who)) return undefined;
    const [{ body: { trial } }, made] = await Promise.all([client.trial(signal),
      client.change(of.generation, signal)]);
    return made.confirm_by !== undefined && trial?.generation !== of.generation;
  }, [client, generation, onTrial, of.generation]);
  return asked.data;
}

/** What became of a change that was applied here. */
function Outcome({ of, put, again }: {
  of: Applied; put: (a: Applied | undefined) => void; again: () => void;
}) {
  const isBack = useTakenBack(of);
  const { who } = useApp();
  return (
    <section class="stack" aria-label="Applied change">
      {isBack ? (
        <Notice kind="warn" title={`Generation ${of.generation} was rolled back`} live>
          <p>The policy is as it was before. Your draft has been kept.</p>
          <div><button type="button" onClick={() => { again(); put(undefined); }}>
            Restore the draft</button></div>
        </Notice>
      ) : <InForce generation={of.generation} />}
      <div class="row">
        {seesAll(who) && <a href={at.change(of.generation)}>View “{of.message || "the change"}” in the
          history</a>}
        <button type="button" class="bare" onClick={() => put(undefined)}>Dismiss</button>
      </div>
    </section>
  );
}

interface Reviewed {
  draft: Draft;
  change: (how: (d: Draft) => Draft) => void;
  done: (a: Applied) => void;
}

/** Keeps the draft on what the server has now, and tells what others have done. */
function useRefresh({ draft, change }: Reviewed): { overtaken: string[]; error?: unknown;
  isDone: boolean; again: () => void; known: () => void } {
  const { client, generation, say } = useApp();
  const [overtaken, set] = useState<string[]>([]);
  const [error, setError] = useState<unknown>();
  const [round, again] = useState(0);
  const [isDone, setDone] = useState(false);
  useEffect(() => {
    const control = new AbortController();
    setDone(false);
    refresh(client, draft, control.signal, change).then((changed) => {
      if (changed.length > 0) { // told also where a newer question has been asked meanwhile
        set((list) => [...new Set([...list, ...changed])]);
        say(`Someone else has changed ${changed.join(", ")}.`);
      }
      if (control.signal.aborted) return;
      setError(undefined);
      setDone(true);
    }, (e) => { if (!control.signal.aborted) setError(e); });
    return () => control.abort();
  }, [client, generation, round]);
  return { overtaken, error, isDone, again: () => again((n) => n + 1), known: () => set([]) };
}

function Review(props: Reviewed) {
  const { draft, change } = props;
  const { client, who, generation } = useApp();
  const fresh = useRefresh(props);
  const now = JSON.stringify(changeOf({ ...draft, message: "" }, false));
  const calm = useCalm(now, 200);
  const plan = useAsk(async (signal) => {
    // of the newest generation, whichever it is: that of the draft counts when it is applied
    const { message: _message, generation: _generation, ...body } = JSON.parse(calm);
    return { plan: await client.plan(body, signal), of: calm, generation };
  }, [client, calm, generation]);
  const isStale = plan.error !== undefined;
  // what is applied is what the plan on the page is of, and nothing else
  const isShown = !isStale && plan.data?.of === now && plan.data.generation === generation;
  return <>
    {fresh.overtaken.length > 0 && (
      <Notice kind="warn" title="Changed by someone else">
        <p>{fresh.overtaken.join(", ")} changed after you began this draft. Both changes are merged:
          theirs are kept, and yours are added. Review the plan again before you apply.</p>
        <div><button type="button" onClick={fresh.known}>Dismiss</button></div>
      </Notice>
    )}
    <Conflicts draft={draft} change={change} />
    <section class="card stack">
      <h2>{counted(sizeOf(draft), "change")}</h2>
      {told(draft).map((t) => <Edited key={t.kind + t.name} told={t} change={change} />)}
    </section>
    <section class="card stack" aria-busy={plan.busy}>
      <div class="row apart">
        <h2>Plan</h2>
        {Object.keys(draft.groups).length > 0 && <a href="/picture?draft=true">Show in
          Reachability</a>}
      </div>
      {isStale ? <Failure error={plan.error} what="load the plan" again={plan.again} />
        : plan.data ? <PlanView plan={plan.data.plan} /> : <Waiting what="the plan" />}
    </section>
    {fresh.error !== undefined && <Failure error={fresh.error} what="load the current policy"
      again={fresh.again} />}
    {mayEdit(who) ? <Send {...props} overtaken={fresh.again} isReady={isShown && fresh.isDone &&
      draft.conflicts.length === 0} />
      : <Notice kind="warn" title="Read-only access">
          <p>Your role is {who.role}. An editor can apply this draft.</p></Notice>}
  </>;
}

function Conflicts({ draft, change }: Pick<Reviewed, "draft" | "change">) {
  if (draft.conflicts.length === 0) return null;
  const pick = (c: Conflict, side: "mine" | "theirs") => change((d) => decide(d, c, side));
  return (
    <Notice kind="bad" title="Conflicting changes">
      <p>Choose what to keep. The draft cannot be applied before.</p>
      <ul class="plain stack">{draft.conflicts.map((c, n) => (
        <li key={n} class="row">
          <span class="grow"><strong>{c.name}</strong>, {c.field}: yours
            “{c.mine || "none"}”, theirs “{c.theirs || "none"}”</span>
          <button type="button" onClick={() => pick(c, "mine")}>Keep mine</button>
          <button type="button" onClick={() => pick(c, "theirs")}>Keep theirs</button>
        </li>
      ))}</ul>
    </Notice>
  );
}

function Edited({ told: t, change }: { told: Told; change: Reviewed["change"] }) {
  const undo = () => change((d) => {
    const edit = t.kind === "groups" ? d.groups[t.name] : d.instances[t.name];
    if (!edit) return d;
    return t.kind === "groups" ? putGroup(d, t.name, edit.before as never, edit.before as never)
      : putInstance(d, t.name, edit.before as never, edit.before as never);
  });
  const one = t.kind === "groups" ? "group" : "instance";
  return (
    <article class="stack change-of">
      <div class="row apart">
        <h3><span class={`kind ${one}`}>{one}</span>{" "}
          <a href={t.kind === "groups" ? at.group(t.name) : at.instance(t.name)}>{t.name}</a></h3>
        <button type="button" class="bare" onClick={undo}
          aria-label={`Discard: ${one} ${t.name}`}>Discard</button>
      </div>
      <ul class="plain diff">{t.lines.map((l, n) => (
        <li key={n} class={{ "+": "gained", "-": "lost", "~": "" }[l.sign]}>
          <span class="sign" aria-hidden="true">{l.sign === "-" ? "−" : l.sign}</span>
          <span class="only-read">{{ "+": "added:", "-": "removed:", "~": "changed:" }[l.sign]}</span>
          <code>{l.text}</code>
        </li>
      ))}</ul>
    </article>
  );
}

function Send({ draft, change, done, isReady, overtaken }: Reviewed & {
  isReady: boolean; overtaken: () => void;
}) {
  const { client, project, who } = useApp();
  const [state, set] = useState<{ busy?: boolean; bad?: Problem; unknown?: string;
    other?: boolean }>({});
  const mayTry = seesAll(who);
  const send = async (e: Event) => {
    e.preventDefault();
    set({ busy: true });
    const keyed = { ...draft, key: draft.key ?? newKey() };
    change(() => keyed); // kept before it is sent: after a reload it is the same attempt
    const outcome = await apply(client, keyed, mayTry);
    if (outcome.kind === "done") {
      done({ generation: outcome.done.generation, project,
        message: draft.message || messageOf(draft),
        draft: { ...draft, key: undefined, confirm: draft.confirm && mayTry } });
      change((d) => withoutApplied(d, keyed));
      return set({});
    }
    if (outcome.kind === "overtaken") { // the plan is made anew of what is there now
      change((d) => ({ ...d, key: undefined }));
      overtaken();
      return set({ other: true });
    }
    set(outcome.kind === "refused" ? { bad: outcome.why } : { unknown: outcome.why });
    if (outcome.kind === "refused") change((d) => ({ ...d, key: undefined }));
  };
  return (
    <form class="card stack" onSubmit={(e) => void send(e)}>
      <h2>Apply</h2>
      <TextField label="Message" value={draft.message} maxLength={255}
        set={(v) => change((d) => ({ ...d, message: v, key: undefined }))}
        placeholder={messageOf(draft)} hint="Shown in the history: the reason, or a ticket." />
      {mayTry ? <Check label="Roll back after 60 s unless I confirm" value={draft.confirm}
        set={(v) => change((d) => ({ ...d, confirm: v, key: undefined }))}
        hint="If the change locks you out, it is undone by itself." />
        : <p class="small dim">A change to one project is not put on trial.</p>}
      {state.other && <Notice kind="warn" title="Not applied: the policy has changed" live>
        <p>The policy has changed in the meantime, and the plan above is up to date. Review it, and
          apply again.</p></Notice>}
      {state.bad && <Failure error={state.bad} what="apply the draft" />}
      {(state.unknown || draft.key && !state.busy) && (
        <Notice kind="warn" title="No answer from the server" live>
          <p>{state.unknown ?? "The page was left before the answer."} Apply again: a change that was
            already made is not made twice.</p>
        </Notice>
      )}
      <div class="row">
        <button type="submit" class="main" disabled={!isReady || state.busy}>
          {state.busy ? "Applying …" : "Apply"}
        </button>
        <button type="button" class="danger" onClick={() => change((d) => ({ ...d, groups: {},
          instances: {}, conflicts: [], message: "", key: undefined }))}>Discard draft</button>
      </div>
    </form>
  );
}
