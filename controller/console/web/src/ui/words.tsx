// Small things that many pages show: names as links, rules in words, marks. Whatever people or
// packets have written is text, never markup.

import type { Rule } from "../api";
import { at } from "../go";
import { peersOf, serviceText } from "../model/rule";

export const GroupLink = ({ name }: { name: string }) => (
  <a class="name" href={at.group(name)}>{name}</a>
);

export const InstanceLink = ({ name }: { name: string }) => (
  <a class="name" href={at.instance(name)}>{name}</a>
);

export const Service = ({ of }: { of: Rule }) => <code class="service">{serviceText(of)}</code>;

export function Peers({ of }: { of: Rule }) {
  return (
    <span class="peers">{peersOf(of).map((p) => (
      <span key={p.kind + p.name} class={`peer ${p.kind}`}>
        {p.kind === "group" ? <GroupLink name={p.name} /> : <code>{p.name}</code>}
        {(p.name === "0.0.0.0/0" || p.name === "::/0") && (
          <span class="small dim"> all {p.name === "::/0" ? "IPv6" : "IPv4"}</span>
        )}
      </span>
    ))}</span>
  );
}

/** A word with a colour; the word says it all. */
export const Mark = ({ kind, text }: {
  kind: "good" | "bad" | "warn" | "plain" | "new"; text: string;
}) => <span class={`mark ${kind}`}>{text}</span>;

/** The lines of who gains and who loses, as the server words them. */
export function Access({ lines }: { lines: readonly string[] }) {
  return (
    <ul class="plain access">{lines.map((line, n) => {
      const sign = line.includes(" may now ") ? "+" : line.includes(" can no longer ") ? "−" : "";
      return (
        <li key={n} class={{ "+": "gained", "−": "lost", "": "" }[sign]}>
          <span class="sign" aria-hidden="true">{sign}</span><span>{line}</span>
        </li>
      );
    })}</ul>
  );
}
