// The rule that would admit a denied packet, as a draft. pages/deniedlist.tsx opens it.

import { useState } from "preact/hooks";

import type { Choice, Packet, Suggested } from "../api";
import { useApp, useAsk } from "../app";
import { useDraft } from "../draft/store";
import { go } from "../go";
import { bareGroup, putGroup } from "../model/draft";
import { serviceOf } from "../model/denied";
import { counted } from "../model/list";
import { bareRule, ruleKey, ruleText } from "../model/rule";
import { Dialog } from "../ui/dialog";
import { Failure, Notice, Waiting } from "../ui/notice";

export function Admit({ packet, close }: { packet: Packet; close: () => void }) {
  const { client } = useApp();
  const question = { src: packet.src, dst: packet.dst, service: serviceOf(packet) };
  const asked = useAsk((s) => client.suggestions(question, s), [client, JSON.stringify(question)]);
  return (
    <Dialog title="Admit this" close={close} wide>
      <p><strong>{packet.from ?? packet.src}</strong> → <strong>{packet.to ?? packet.dst}</strong>{" "}
        by <code>{question.service}</code></p>
      {asked.error ? <Failure error={asked.error} what="load suggestions" again={asked.again} />
        : asked.data ? <Choose of={asked.data} close={close} /> : <Waiting what="suggestions" />}
    </Dialog>
  );
}

function Choose({ of, close }: { of: Suggested; close: () => void }) {
  const { client, project } = useApp();
  const [draft, change] = useDraft(project);
  const [chosen, choose] = useState<Record<number, number>>({});
  const [error, setError] = useState<unknown>();
  const needs = of.needs, stuck = needs.filter((n) => n.choices.length === 0);
  if (of.admitted || needs.length === 0) {
    return <Notice kind="good" title="Already admitted">
      <p>It was denied before the last change, or a guard of the port denies it: see “Why?”.</p></Notice>;
  }
  const keep = async () => {
    try {
      for (const [n, need] of needs.entries()) {
        const c = need.choices[chosen[n] ?? 0];
        if (!c) continue;
        const now = draft.groups[c.group]?.before ?? await client.group(c.group);
        change((d) => {
          const as = bareGroup(d.groups[c.group]?.after ?? now);
          const rules = (as.rules ?? []).filter((r) => ruleKey(r) !== ruleKey(c.rule));
          return putGroup(d, c.group, now, { ...as, rules: [...rules, bareRule(c.rule)] });
        });
      }
      close();
      go("/draft");
    } catch (e) {
      setError(e);
    }
  };
  return <>
    {needs.map((need, n) => (
      <fieldset key={n} class="stack">
        <legend>{need.direction === "egress" ? "Egress of" : "Ingress of"} {need.instance}</legend>
        {need.choices.length === 0 && <Notice kind="warn">{need.reason ||
          "None of its groups can have such a rule: add it to a group first."}</Notice>}
        {need.choices.map((c, at) => <One key={at} c={c} name={`need-${n}`}
          isOn={(chosen[n] ?? 0) === at} pick={() => choose((o) => ({ ...o, [n]: at }))} />)}
      </fieldset>
    ))}
    {error !== undefined && <Failure error={error} what="add it to the draft" />}
    <div class="row end">
      <button type="button" onClick={close}>Cancel</button>
      <button type="button" class="main" disabled={stuck.length === needs.length}
        onClick={() => void keep()}>Add to draft and see the plan</button>
    </div>
  </>;
}

const One = ({ c, name, isOn, pick }: {
  c: Choice; name: string; isOn: boolean; pick: () => void;
}) => (
  <label class="choice">
    <input type="radio" name={name} checked={isOn} onChange={pick} />
    <span><code>{ruleText(c.rule)}</code><br />
      <span class="dim">in group {c.group}: applies to {counted(c.members, "member")}
        {c.peers ? `, and ${counted(c.peers, "peer")}` : ""}</span></span>
  </label>
);
