// An instance: its groups, the rules that hold for it, its ports, what is denied and what is
// connected right now. The route /instances/{name} shows it.

import { useMemo, useState } from "preact/hooks";

import type { Host, Instance, Port } from "../api";
import { mayEdit, seesAll, useApp, useAsk } from "../app";
import type { Params } from "../router";
import { short } from "../model/list";
import { addressesOf, shortAddress } from "../model/port";
import { Dialog } from "../ui/dialog";
import { NamesField } from "../ui/names";
import { Empty, Failure, MissingHosts, Notice, Waiting } from "../ui/notice";
import { Table } from "../ui/table";
import { GroupLink, Mark } from "../ui/words";
import { DeniedList } from "./deniedlist";
import { Effective } from "./effective";
import { Live } from "./live";
import { PortForm, mistakesOfPort, portOf, useFinders } from "./newinstance";
import type { PortFields } from "./newinstance";
import { useInstance } from "./object";
import type { Shown } from "./object";

export default function InstancePage({ params }: { params: Params }) {
  const name = params.name ?? "";
  const instance = useInstance(name);
  if (!instance.as) {
    return (
      <div class="stack">
        <h1>{name}</h1>
        {instance.error ? <Failure error={instance.error} what="load the instance" again={instance.again} />
          : instance.as === undefined ? <Waiting what={`instance ${name}`} />
          : <Gone name={name} instance={instance} />}
      </div>
    );
  }
  const i = instance.as, isThere = !!instance.now;
  return (
    <div class="stack wide">
      <Head i={i} instance={instance} />
      <Effective groups={i.groups ?? []} />
      <Ports i={i} instance={instance} />
      {isThere && <section class="card stack" aria-label="Denied">
        <h2>Denied packets</h2>
        <DeniedList chosen={{ instance: i.name }} />
      </section>}
      {isThere && <Live name={i.name} />}
    </div>
  );
}

function Head({ i, instance }: { i: Instance; instance: Shown<Instance> }) {
  const { who } = useApp();
  const find = useFinders();
  const [editing, setEditing] = useState<"" | "groups" | "host">("");
  const isFree = !i.host || i.host === "-";
  return (
    <header class="stack">
      <nav class="crumbs" aria-label="Where this is"><a href="/instances">Instances</a> / </nav>
      <div class="row apart">
        <h1>{i.name}</h1>
        <div class="row">
          <a class="button" href={`/why?to=${encodeURIComponent(i.name)}`}>Who reaches it?</a>
          {mayEdit(who) && <button type="button" class="danger"
            onClick={() => instance.edit(() => null)}>Remove</button>}
        </div>
      </div>
      <div class="row">
        {instance.isDraft && <Mark kind="new" text={instance.now === null ? "new in the draft"
          : "changed in the draft"} />}
        <span>{isFree ? <span class="warn">not placed on a host</span> : <>on host <strong>{i.host}</strong></>}
          {i.migrating_to && <span class="warn"> moving to {i.migrating_to}</span>}</span>
        {mayEdit(who) && <button type="button" class="bare" onClick={() => setEditing("host")}>
          Move</button>}
      </div>
      <div class="row">
        <span class="dim">Groups</span>
        {(i.groups ?? []).map((g) => <span key={g} class="chip"><GroupLink name={g} /></span>)}
        {!i.groups?.length && <span>none: all ingress is denied, all egress is open</span>}
        {mayEdit(who) && <button type="button" class="bare" onClick={() => setEditing("groups")}>
          Change</button>}
      </div>
      {editing === "groups" && <Dialog title={`Groups of ${i.name}`} close={() => setEditing("")}>
        <NamesField label="Groups" names={i.groups ?? []} find={find.groups}
          set={(groups) => instance.edit((v) => ({ ...v, groups }))} hint="The rules of all of them apply." />
        <div class="row end"><button type="button" class="main" onClick={() => setEditing("")}>
          Done</button></div>
      </Dialog>}
      {editing === "host" && <Dialog title={`Host of ${i.name}`} close={() => setEditing("")}>
        <NamesField label="Host" names={i.host ? [i.host] : []} find={find.hosts}
          set={(l) => instance.edit((v) => ({ ...v, host: l[l.length - 1] ?? "" }))} />
        <NamesField label="Migrating to" names={i.migrating_to ? [i.migrating_to] : []} find={find.hosts}
          set={(l) => instance.edit((v) => ({ ...v, migrating_to: l[l.length - 1] }))}
          hint="Both hosts filter its ports during the migration." />
        <div class="row end"><button type="button" class="main" onClick={() => setEditing("")}>
          Done</button></div>
      </Dialog>}
    </header>
  );
}

const nameOf = (p: Port) => String(p.name ?? p.iface_id ?? "");

type Stands = { host: string; state: string; reason?: string };

/** How hosts say that each port stands, by the name of its row. */
function standOf(hosts: readonly Host[]): Map<string, Stands[]> {
  const out = new Map<string, Stands[]>();
  for (const h of hosts) {
    for (const { name, state, reason } of h.ports ?? []) {
      out.set(name, [...out.get(name) ?? [], { host: h.name, state, reason }]);
    }
  }
  return out;
}

const rowOf = (i: Instance, p: Port) => String(p.iface_id ?? `${i.name}/${p.name}`);

const markOf: Record<string, "good" | "warn" | "bad" | "plain"> = { applied: "good", pending: "warn",
  error: "bad" };

function PortState({ host, state, reason }: Stands) {
  return <span class="row tight"><Mark kind={markOf[state] ?? "plain"}
    text={state === "applied" ? `in force on ${host}` : `${state} on ${host}`} />
    {reason && <span class="dim small">{reason}</span>}</span>;
}

function Ports({ i, instance }: { i: Instance; instance: Shown<Instance> }) {
  const { client, who, generation } = useApp();
  const counters = useAsk((s) => client.counters({}, s), [client, generation]);
  const byPort = useMemo(() => new Map(counters.data?.ports.filter((p) => p.instance === i.name)
    .map((p) => [p.port, p])), [counters.data, i.name]);
  const isKnown = counters.data !== undefined && !counters.data.missing?.length;
  const hosts = useAsk(async (s) => seesAll(who) ? await client.hosts(s, i.name) : undefined,
    [client, generation, i.name]);
  const stood = useMemo(() => standOf(hosts.data?.hosts ?? []), [hosts.data]);
  const [editing, setEditing] = useState<Port | "new">();
  const ports = i.ports ?? [];
  const keep = (p: Port) => instance.edit((v) => ({ ...v, ports: editing === "new"
    ? [...(v.ports ?? []), p] : (v.ports ?? []).map((o) => o === editing ? p : o) }));
  return (
    <section class="card stack" aria-label="Ports">
      <div class="row apart">
        <h2>Ports</h2>
        {mayEdit(who) && <button type="button" onClick={() => setEditing("new")}>Add a port</button>}
      </div>
      {ports.length === 0 ? <Empty title="No ports">
        <p>Without a port the instance is not connected to the bridge.</p></Empty>
        : <Table name="Ports" rows={ports} keyOf={nameOf} columns={[
          { title: "Port", cell: (p) => <span class="row tight">{nameOf(p)}
            {p.trusted && <Mark kind="warn" text="trusted: not filtered" />}</span> },
          { title: "State", cell: (p) => stood.get(rowOf(i, p))?.map((h) => <PortState key={h.host} {...h} />)
            ?? (byPort.has(nameOf(p)) ? <Mark kind="good" text="programmed" />
              : counters.busy ? <span class="dim">…</span>
              : <Mark kind="plain" text={isKnown ? "not seen on a host" : "not known"} />) },
          { title: "MAC", cell: (p) => <code>{p.mac}</code>, wide: true },
          { title: "Addresses", cell: (p) => <code>{addressesOf({ ports: [p] })}</code> },
          { title: "Denied", kind: "number", wide: true, cell: (p) => {
            const c = byPort.get(nameOf(p));
            return c ? `${short(c.ingress.denied.packets)} in, ${short(c.egress.denied.packets)} out` : "";
          } },
          { title: "Edit", kind: "action", cell: (p) => mayEdit(who) ? <span class="row tight end">
            <button type="button" class="bare" aria-label={`Edit port ${nameOf(p)}`}
              onClick={() => setEditing(p)}>Edit</button>
            <button type="button" class="bare lost" aria-label={`Remove port ${nameOf(p)}`}
              onClick={() => instance.edit((v) => ({ ...v,
                ports: (v.ports ?? []).filter((o) => o !== p) }))}>Remove</button></span> : null },
        ]} />}
      {counters.error && <Failure error={counters.error} what="load the counters" again={counters.again} />}
      <MissingHosts list={counters.data?.missing} />
      {editing && <PortDialog of={editing === "new" ? undefined : editing} keep={keep}
        close={() => setEditing(undefined)} />}
    </section>
  );
}

function PortDialog({ of, keep, close }: {
  of: Port | undefined; keep: (p: Port) => void; close: () => void;
}) {
  const [f, set] = useState<PortFields>({ name: String(of?.name ?? ""), mac: of?.mac ?? "",
    addresses: (of?.addresses ?? []).map(shortAddress) });
  const [tried, setTried] = useState(false);
  const wrong = mistakesOfPort(of?.iface_id ? { ...f, name: f.name || "x" } : f);
  const send = (e: Event) => {
    e.preventDefault();
    setTried(true);
    if (Object.keys(wrong).length > 0) return;
    const next = portOf(f, of);
    if (next.name === "") delete next.name;
    keep(next);
    close();
  };
  return (
    <Dialog title={of ? `Edit port ${nameOf(of)}` : "Add a port"} close={close} wide>
      <form class="stack" onSubmit={send}>
        <PortForm f={f} set={(part) => set((o) => ({ ...o, ...part }))} wrong={tried ? wrong : {}} />
        <div class="row end"><button type="submit" class="main">Save to draft</button></div>
      </form>
    </Dialog>
  );
}

function Gone({ name, instance }: { name: string; instance: Shown<Instance> }) {
  const { now } = instance;
  if (now) {
    return (
      <Notice kind="warn" title={`${name} is removed in the draft`}>
        <p>It stays until the draft is applied.</p>
        <div class="row"><a class="button" href="/draft">Review draft</a>
          <button type="button" onClick={() => instance.edit(() => now)}>Restore instance</button></div>
      </Notice>
    );
  }
  return (
    <Empty title={`There is no instance ${name}`}>
      <p>It may have been removed, or belong to another project.</p>
      <div><a class="button" href="/instances">All instances</a></div>
    </Empty>
  );
}
