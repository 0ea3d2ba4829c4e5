// The form of a rule. pages/rules.tsx opens it.

import { useState } from "preact/hooks";

import type { Rule } from "../api";
import { useApp } from "../app";
import { bareRule, doubtOf, hasPorts, hasTypes, listOf, mistakesOf, parseRule, ruleKey, ruleText,
  someOf, words } from "../model/rule";
import { Dialog } from "../ui/dialog";
import { Select, TextField } from "../ui/field";
import { NamesField } from "../ui/names";
import { Notice } from "../ui/notice";

const protocols = [["tcp", "TCP"], ["udp", "UDP"], ["icmp", "ICMP (IPv4)"],
  ["icmpv6", "ICMPv6 (IPv6)"], ["any", "any protocol"], ["sctp", "SCTP"], ["esp", "ESP"],
  ["ah", "AH"], ["gre", "GRE"], ["ipip", "IPIP"], ["other", "other, by number"]] as const;

const kinds = [["", "all types"], ["echo-request", "echo-request (a ping)"], ["echo-reply", "echo-reply"],
  ["destination-unreachable", "destination-unreachable"], ["packet-too-big", "packet-too-big"],
  ["time-exceeded", "time-exceeded"], ["other", "other, by number"]] as const;

/** What the fields hold: text, as it is typed. */
interface Fields {
  direction: Rule["direction"];
  protocol: string;
  number: string;
  ports: string;
  kind: string;
  type: string;
  code: string;
  groups: string[];
  networks: string[];
  description: string;
}

const fieldsOf = (r: Rule): Fields => {
  const protocol = String(r.protocol), known = protocols.some(([p]) => p === protocol);
  const type = r.icmp_type === undefined || r.icmp_type === -1 ? "" : String(r.icmp_type);
  const isKnown = kinds.some(([k]) => k === type);
  return { direction: r.direction, protocol: known ? protocol : "other", number: known ? "" : protocol,
    ports: listOf(r.ports).join(", "), kind: isKnown ? type : "other", type: isKnown ? "" : type,
    code: r.icmp_code === undefined || r.icmp_code < 0 ? "" : String(r.icmp_code),
    groups: listOf(r.group), networks: listOf(r.cidr), description: r.description ?? "" };
};

function ruleOf(f: Fields): Rule {
  const protocol = f.protocol === "other" ? f.number.trim() : f.protocol;
  const type = f.kind === "other" ? f.type.trim() : f.kind;
  return bareRule({ direction: f.direction, protocol,
    ports: hasPorts(protocol) ? someOf<string | number>(words(f.ports)) : undefined,
    icmp_type: hasTypes(protocol) && type !== "" ? /^\d+$/.test(type) ? Number(type) : type : undefined,
    icmp_code: type !== "" && /^\d+$/.test(f.code) ? Number(f.code) : undefined,
    group: someOf(f.groups), cidr: someOf(f.networks), description: f.description.trim() || undefined });
}

const fresh: Rule = { direction: "ingress", protocol: "tcp" };

/** Rules that many groups begin with. */
const begin = (own: string): [string, Rule][] => [
  ["Web from anywhere", { direction: "ingress", protocol: "tcp", ports: [80, 443],
    cidr: ["0.0.0.0/0", "::/0"] }],
  ["Ping from anywhere", { direction: "ingress", protocol: "icmp", icmp_type: "echo-request",
    cidr: "0.0.0.0/0" }],
  ["All within the group", { direction: "ingress", protocol: "any", group: own }],
];

export function RuleDialog({ of, close, keep, others, own }: {
  of: Rule | undefined; close: () => void; keep: (r: Rule) => void; others: readonly Rule[];
  own: string;
}) {
  const [f, setFields] = useState(fieldsOf(of ?? fresh));
  const [tried, setTried] = useState(false);
  const set = (part: Partial<Fields>) => setFields((old) => ({ ...old, ...part }));
  const rule = ruleOf(f), wrong = mistakesOf(rule);
  const isTwice = others.some((o) => o !== of && ruleKey(o) === ruleKey(rule));
  const isReady = Object.keys(wrong).length === 0 && !isTwice;
  const send = (e: Event) => {
    e.preventDefault();
    setTried(true);
    if (!isReady) return;
    keep(rule);
    close();
  };
  const shown = tried ? wrong : {};
  return (
    <Dialog title={of ? "Edit rule" : "Add a rule"} close={close} wide>
      <form class="stack" onSubmit={send}>
        {!of && <Begin own={own} set={(r) => setFields(fieldsOf(r))} />}
        <Service f={f} set={set} wrong={shown} />
        <Peers f={f} set={set} error={shown.peers} own={own} />
        <TextField label="Description" value={f.description} maxLength={255}
          set={(description) => set({ description })} />
        <p class="as-words" role="status"><span class="dim">Rule: </span>
          <code>{isReady ? ruleText(rule) : "…"}</code></p>
        {isReady && doubtOf(rule) && <Notice kind="warn">{doubtOf(rule)}</Notice>}
        {isTwice && <Notice kind="bad">The group already has this rule.</Notice>}
        <div class="row end">
          <button type="button" onClick={close}>Cancel</button>
          <button type="submit" class="main">Save to draft</button>
        </div>
      </form>
    </Dialog>
  );
}

/** A first rule by one click, or by words. */
function Begin({ own, set }: { own: string; set: (r: Rule) => void }) {
  const [text, setText] = useState("");
  const [error, setError] = useState("");
  const read = () => {
    const r = parseRule(text);
    if (typeof r === "string") return setError(r);
    set(r);
    setText("");
  };
  return (
    <details class="begin">
      <summary>Start from a template or from text</summary>
      <div class="stack">
        <div class="row">{begin(own).map(([title, r]) => (
          <button key={title} type="button" onClick={() => set(r)}>{title}</button>
        ))}</div>
        <TextField label="Rule as text" value={text} set={(v) => { setText(v); setError(""); }}
          error={error} placeholder="ingress tcp 3306 from group frontend"
          onKeyDown={(e) => { if (e.key === "Enter") { e.preventDefault(); read(); } }}
          onKeyPress={(e) => { if (e.key === "Enter") e.preventDefault(); }}
          hint="Press Enter to fill in the fields below." />
      </div>
    </details>
  );
}

type Part = { f: Fields; set: (part: Partial<Fields>) => void };

function Service({ f, set, wrong }: Part & { wrong: ReturnType<typeof mistakesOf> }) {
  const protocol = f.protocol === "other" ? f.number : f.protocol;
  return (
    <div class="fields">
      <Select label="Direction" value={f.direction} set={(direction) => set({ direction })}
        options={[["ingress", "ingress: to the members"], ["egress", "egress: from the members"]]} />
      <Select label="Protocol" value={f.protocol as typeof protocols[number][0]}
        set={(v) => set({ protocol: v })} options={protocols} />
      {f.protocol === "other" && <TextField label="Number" value={f.number} error={wrong.protocol}
        set={(number) => set({ number })} inputMode="numeric" placeholder="0 to 255" />}
      {hasPorts(protocol) && <TextField label="Ports" value={f.ports} error={wrong.ports}
        set={(ports) => set({ ports })} placeholder="443, 8000-8100" hint="Of the destination." />}
      {hasTypes(protocol) && <>
        <Select label="Type" value={f.kind as typeof kinds[number][0]} options={kinds}
          set={(kind) => set({ kind })} />
        {f.kind === "other" && <TextField label="Type number" value={f.type}
          set={(type) => set({ type })} inputMode="numeric" />}
        {f.kind !== "" && <TextField label="Code" value={f.code} set={(code) => set({ code })}
          placeholder="any" inputMode="numeric" />}
      </>}
    </div>
  );
}

function Peers({ f, set, error, own }: Part & { error?: string; own: string }) {
  const { client } = useApp();
  const find = async (word: string, signal: AbortSignal) =>
    (await client.groups({ q: word, limit: 20 }, signal)).items.map((g) => g.name);
  return (
    <fieldset class="stack">
      <legend>{f.direction === "ingress" ? "From" : "To"}</legend>
      <NamesField label="Groups" names={f.groups} set={(groups) => set({ groups })} find={find}
        placeholder="a group" presets={[[own, "this group"]]} />
      <NamesField label="Networks" names={f.networks} set={(networks) => set({ networks })}
        placeholder="203.0.113.0/24" error={error}
        presets={[["0.0.0.0/0", "all IPv4"], ["::/0", "all IPv6"]]} />
    </fieldset>
  );
}
