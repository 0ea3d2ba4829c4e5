// Denied packets, those that are alike as one line. pages/deniedlist.tsx keeps them. No DOM.

import type { Packet } from "../api/types";

/** Packets that differ in their source port or time alone. */
export interface Seen {
  key: string;
  last: Packet;
  count: number;
  /** number grows with every packet: the newest first. */
  number: number;
}

const most = 400;

const keyOf = (p: Packet) => [p.instance, p.port, p.direction, p.protocol, p.src, p.dst,
  p.dst_port ?? "", p.icmp ? `${p.icmp.type}/${p.icmp.code}` : "", p.reason ?? ""].join(" ");

/** The list with another packet; the oldest line goes when there are too many. */
export function withPacket(list: readonly Seen[], p: Packet): Seen[] {
  const key = keyOf(p), old = list.find((s) => s.key === key);
  const next: Seen = { key, last: p, count: (old?.count ?? 0) + 1 + (p.not_shown ?? 0),
    number: (list[0]?.number ?? 0) + 1 };
  return [next, ...list.filter((s) => s !== old)].slice(0, most);
}

/** The service that a question names: "tcp/443", "icmp/8/0", "esp". */
export function serviceOf(p: Packet): string {
  if (p.icmp) return `${p.protocol}/${p.icmp.type}/${p.icmp.code}`;
  return p.dst_port ? `${p.protocol}/${p.dst_port}` : p.protocol;
}
