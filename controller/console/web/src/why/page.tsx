// Why can't A reach B, or who reaches it: a question whose address can be pasted into a ticket, and
// its answer. The route /why shows it.

import { useEffect, useId, useState } from "preact/hooks";

import { useApp, useAsk, useCalm } from "../app";
import { go, useAddress } from "../go";
import { Empty, Failure, Notice, Waiting } from "../ui/notice";
import { AnswerView } from "./answer";
import { address, asking, isAsked, read, title } from "./question";
import type { Question } from "./question";
import { whole } from "./types";

export default function WhyPage() {
  const asked = read(useAddress().search);
  return (
    <div class="stack wide">
      <h1>{title(asked)}</h1>
      <Form key={address(asked)} asked={asked} />
      {isAsked(asked) ? <Answered key={address(asked)} q={asked} /> : <Nothing />}
    </div>
  );
}

function Nothing() {
  return (
    <Empty title="Ask about two endpoints">
      <p>An endpoint is an instance, a group, an address or a network; <code>outside</code> is everyone
        else. Leave one empty to see who reaches the other, or whom it reaches.</p>
      <p class="dim">Services are written tcp/443, ssh, dns, icmp or any.{" "}
        <code>dhcp</code>, <code>arp</code> and <code>nd</code> ask about traffic on the link.</p>
    </Empty>
  );
}

function Answered({ q }: { q: Question }) {
  const { client, generation, project } = useApp();
  const answer = useAsk((s) => client.ask<{ generation: number; answer: unknown }>("/explain",
    { query: asking(q), signal: s }), [client, project, address(q), generation]);
  if (answer.error) {
    return <Failure error={answer.error} what="load the answer" again={answer.again} />;
  }
  if (answer.data === undefined) return <Waiting what="the answer" />;
  const known = whole(answer.data.answer);
  if (known === undefined) {
    return <Notice kind="warn" title="The answer cannot be shown here">
      <p>Use <code>portcullis explain</code>.</p></Notice>;
  }
  return (
    <div class="stack" aria-busy={answer.busy}>
      <AnswerView answer={known} />
      <div class="row dim small">
        <span>Generation {answer.data.generation}.</span>
        <CopyAddress q={q} />
      </div>
    </div>
  );
}

/** CopyAddress keeps the question for a ticket. */
function CopyAddress({ q }: { q: Question }) {
  const { say } = useApp();
  const [done, set] = useState(false);
  const url = new URL(address(q), location.href).href;
  const copy = (): void => {
    navigator.clipboard.writeText(url).then(() => {
      set(true);
      say("Link copied");
    }, () => say("The link could not be copied"));
  };
  return (
    <>
      <a href={address(q)}>{address(q)}</a>
      <button type="button" class="bare" onClick={copy}>{done ? "Copied" : "Copy link"}</button>
    </>
  );
}

function Form({ asked }: { asked: Question }) {
  const [q, set] = useState(asked);
  const submit = (e: Event): void => {
    e.preventDefault();
    go(address({ ...q, from: q.from.trim(), to: q.to.trim(), service: q.service.trim() }));
  };
  return (
    <form class="card toolbar" onSubmit={submit} aria-label="Question">
      <EndField label="From" value={q.from} set={(from) => set({ ...q, from })} />
      <button type="button" class="turn" aria-label="Swap" title="Swap"
        onClick={() => set({ ...q, from: q.to, to: q.from })}>⇄</button>
      <EndField label="To" value={q.to} set={(to) => set({ ...q, to })} />
      <ServiceField value={q.service} set={(service) => set({ ...q, service })} />
      <label class="check"><input type="checkbox" checked={q.live}
        onChange={(e) => set({ ...q, live: e.currentTarget.checked })} />
        <span>Also trace on the switch</span></label>
      <button type="submit" class="main" disabled={!isAsked(q)}>Ask</button>
    </form>
  );
}

function ServiceField({ value, set }: { value: string; set: (v: string) => void }) {
  const id = useId();
  return (
    <div class="tool">
      <label for={id}>Service</label>
      <input id={id} value={value} autocomplete="off" spellcheck={false} placeholder="any"
        onInput={(e) => set(e.currentTarget.value)} />
    </div>
  );
}

/** EndField finds instances and groups while one types. */
function EndField({ label, value, set }: {
  label: string; value: string; set: (v: string) => void;
}) {
  const { client } = useApp();
  const id = useId();
  const [found, setFound] = useState<string[]>([]);
  const word = useCalm(value.trim());
  useEffect(() => {
    if (word === "") return setFound(["outside"]);
    const control = new AbortController();
    const page = { q: word, limit: 10 };
    void Promise.all([client.groups(page, control.signal), client.instances(page, control.signal)])
      .then(([groups, instances]) => setFound([...groups.items, ...instances.items]
        .map((o) => o.name)), () => {});
    return () => control.abort();
  }, [word, client]);
  return (
    <div class="tool wide">
      <label for={id}>{label}</label>
      <input id={id} value={value} list={`${id}-list`} autocomplete="off" spellcheck={false}
        placeholder={`anyone, or web-1, frontend, 198.51.100.7`}
        onInput={(e) => set(e.currentTarget.value)} />
      <datalist id={`${id}-list`}>{found.map((n) => <option key={n} value={n} />)}</datalist>
    </div>
  );
}
