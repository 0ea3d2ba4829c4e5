// A group: its rules, its members, who names it. Whatever is edited goes into the draft. The route
// /groups/{name} shows it.

import { useState } from "preact/hooks";

import type { Group } from "../api";
import { mayEdit, useApp, useAsk } from "../app";
import type { Params } from "../router";
import { TextField, Check } from "../ui/field";
import { Dialog } from "../ui/dialog";
import { NamesField } from "../ui/names";
import { Empty, Failure, Notice, Waiting } from "../ui/notice";
import { Mark } from "../ui/words";
import { Members } from "./members";
import { useGroup } from "./object";
import type { Shown } from "./object";
import { Rules } from "./rules";
import { Uses } from "./uses";

export default function GroupPage({ params }: { params: Params }) {
  const name = params.name ?? "";
  const { client, who, project } = useApp();
  const group = useGroup(name);
  const hits = useAsk((s) => client.counters({ group: name }, s), [client, name]);
  if (!group.as) {
    return (
      <div class="stack">
        <h1>{name}</h1>
        {group.error ? <Failure error={group.error} what="load the group" again={group.again} />
          : group.as === undefined ? <Waiting what={`group ${name}`} />
          : <Gone name={name} group={group} />}
      </div>
    );
  }
  const g = group.as;
  return (
    <div class="stack wide">
      <Head g={g} group={group} mayChange={mayEdit(who)} />
      <Rules group={group} counters={hits.data} failed={hits.error !== undefined} />
      {hits.error && <Failure error={hits.error} what="load the hits" again={hits.again} />}
      <Members group={g} isNew={group.now === null} />
      {group.now && <Uses name={g.name} project={project} />}
    </div>
  );
}

function Head({ g, group, mayChange }: { g: Group; group: Shown<Group>; mayChange: boolean }) {
  const [editing, setEditing] = useState(false);
  return (
    <header class="stack">
      <nav class="crumbs" aria-label="Where this is"><a href="/">Groups</a> / </nav>
      <div class="row apart">
        <h1>{g.name}</h1>
        <div class="row">
          <a class="button" href={`/picture?group=${encodeURIComponent(g.name)}`}>Show in Reachability</a>
          {mayChange && <button type="button" onClick={() => setEditing(true)}>Edit</button>}
          {mayChange && <button type="button" class="danger" onClick={() => group.edit(() => null)}>
            Remove</button>}
        </div>
      </div>
      {g.description && <p class="prose">{g.description}</p>}
      <div class="row">
        {group.isDraft && <Mark kind="new" text={group.now === null ? "new in the draft"
          : "changed in the draft"} />}
        {g.shared && <Mark kind="plain" text="shared with other projects" />}
        {(g.external_sources ?? []).map((n) => <span key={n} class="chip"><code>{n}</code>
          <span class="dim"> counts as a member</span></span>)}
      </div>
      {editing && <EditGroup g={g} group={group} close={() => setEditing(false)} />}
    </header>
  );
}

function EditGroup({ g, group, close }: { g: Group; group: Shown<Group>; close: () => void }) {
  const [description, setDescription] = useState(g.description ?? "");
  const [sources, setSources] = useState(g.external_sources ?? []);
  const [shared, setShared] = useState(g.shared ?? false);
  const keep = (e: Event) => {
    e.preventDefault();
    group.edit((v) => ({ ...v, description: description.trim() || undefined,
      external_sources: sources, shared }));
    close();
  };
  return (
    <Dialog title={`Edit ${g.name}`} close={close}>
      <form class="stack" onSubmit={keep}>
        <TextField label="Description" value={description} set={setDescription} maxLength={255} />
        <NamesField label="External sources" names={sources} set={setSources}
          placeholder="198.51.100.0/24"
          hint="Networks that count as members wherever a rule names this group." />
        <Check label="Shared" value={shared} set={setShared}
          hint="Rules of other projects may use it." />
        <div class="row end"><button type="submit" class="main">Save to draft</button></div>
      </form>
    </Dialog>
  );
}

function Gone({ name, group }: { name: string; group: Shown<Group> }) {
  if (group.now) {
    return (
      <Notice kind="warn" title={`${name} is removed in the draft`}>
        <p>It stays until the draft is applied.</p>
        <div class="row"><a class="button" href="/draft">Review draft</a>
          <button type="button" onClick={() => group.edit(() => group.now ?? null)}>
            Restore group</button></div>
      </Notice>
    );
  }
  return (
    <Empty title={`There is no group ${name}`}>
      <p>It may have been removed, or belong to another project.</p>
      <div class="row"><a class="button" href="/">All groups</a>
        <button type="button" onClick={() => group.edit((g) => g)}>Create it</button></div>
    </Empty>
  );
}
