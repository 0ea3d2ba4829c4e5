// The form of a new instance, and of a port. pages/instances.tsx and pages/instance.tsx open it.

import { useState } from "preact/hooks";

import type { Instance, Port } from "../api";
import { seesAll, useApp } from "../app";
import { useDraft } from "../draft/store";
import { at, go } from "../go";
import { putInstance } from "../model/draft";
import { badAddress, badMAC, drawMAC } from "../model/port";
import { Dialog } from "../ui/dialog";
import { TextField } from "../ui/field";
import { NamesField } from "../ui/names";

/** The fields of a port, as they are typed. */
export interface PortFields {
  name: string;
  mac: string;
  addresses: string[];
}

export const portOf = (f: PortFields, old: Port = {}): Port => ({ ...old, name: f.name.trim(),
  mac: f.mac.trim(), addresses: f.addresses });

export function mistakesOfPort(f: PortFields): Partial<Record<keyof PortFields, string>> {
  const out: Partial<Record<keyof PortFields, string>> = {};
  if (!/^\S{1,15}$/.test(f.name.trim())) {
    out.name = "The name of its interface on the bridge: 1 to 15 characters, such as tap-web-1.";
  }
  const mac = badMAC(f.mac.trim()), address = f.addresses.map(badAddress).find(Boolean);
  if (mac) out.mac = mac;
  if (address) out.addresses = address;
  return out;
}

export function PortForm({ f, set, wrong }: {
  f: PortFields; set: (part: Partial<PortFields>) => void; wrong: ReturnType<typeof mistakesOfPort>;
}) {
  return (
    <fieldset class="stack">
      <legend>Port</legend>
      <div class="fields">
        <TextField label="Interface" value={f.name} set={(name) => set({ name })} error={wrong.name}
          placeholder="tap-web-1" maxLength={15} />
        <div class="row tight nowrap bottom">
          <TextField label="MAC" value={f.mac} set={(mac) => set({ mac })} error={wrong.mac}
            placeholder="02:00:00:00:00:11" />
          <button type="button" onClick={() => set({ mac: drawMAC() })}>Generate</button>
        </div>
      </div>
      <NamesField label="Addresses" names={f.addresses} set={(addresses) => set({ addresses })}
        placeholder="203.0.113.11, 2001:db8::11" error={wrong.addresses}
        hint="The port may send and receive IP with these only." />
    </fieldset>
  );
}

/** What finds the names of hosts for those who may see them, and of groups. */
export function useFinders() {
  const { client, who } = useApp();
  return {
    hosts: seesAll(who) ? async (word: string, s: AbortSignal) =>
      (await client.hosts(s)).hosts.map((h) => h.name).filter((n) => n.includes(word)) : undefined,
    groups: async (q: string, s: AbortSignal) =>
      (await client.groups({ q, limit: 20 }, s)).items.map((g) => g.name),
  };
}

export function NewInstance({ close }: { close: () => void }) {
  const { client, project } = useApp();
  const [draft, change] = useDraft(project);
  const [name, setName] = useState("");
  const [host, setHost] = useState<string[]>([]);
  const [groups, setGroups] = useState<string[]>([]);
  const [port, setPort] = useState<PortFields>({ name: "", mac: "", addresses: [] });
  const [tried, setTried] = useState(false);
  const find = useFinders();
  const wrong = mistakesOfPort(port), own = name.trim();
  const [taken, setTaken] = useState("");
  const make = async (e: Event) => {
    e.preventDefault();
    setTried(true);
    if (own === "" || Object.keys(wrong).length > 0) return;
    if (draft.instances[own] ?? await client.findInstance(own).catch(() => null)) {
      return setTaken(`An instance named ${own} already exists.`);
    }
    const made: Instance = { name: own, groups, ports: [portOf(port)] };
    if (host[0]) made.host = host[0];
    change((d) => putInstance(d, own, null, made));
    close();
    go(at.instance(own));
  };
  const named = (v: string) => {
    setName(v);
    setTaken("");
    setPort((p) => p.name === "" || p.name === `tap-${name}`.slice(0, 15)
      ? { ...p, name: v ? `tap-${v}`.slice(0, 15) : "" } : p);
  };
  return (
    <Dialog title="New instance" close={close} wide>
      <form class="stack" onSubmit={(e) => void make(e)}>
        <TextField label="Name" value={name} set={named} placeholder="web-1" maxLength={255}
          error={taken || (tried && own === "" ? "Enter a name, such as web-1." : "")} />
        <NamesField label="Host" names={host} set={(l) => setHost(l.slice(-1))} find={find.hosts}
          placeholder="hv1" hint="Where it runs, by the name in that host's settings." />
        <NamesField label="Groups" names={groups} set={setGroups} find={find.groups}
          placeholder="frontend" hint="Without a group all ingress is denied." />
        <PortForm f={port} set={(part) => setPort((p) => ({ ...p, ...part }))}
          wrong={tried ? wrong : {}} />
        <div class="row end"><button type="submit" class="main">Save to draft</button></div>
      </form>
    </Dialog>
  );
}
