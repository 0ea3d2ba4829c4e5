// The form of a new token, whose text is shown once. pages/access.tsx opens it.

import { useRef, useState } from "preact/hooks";

import { newKey } from "../api";
import type { Role } from "../api";
import { useApp } from "../app";
import { Dialog } from "../ui/dialog";
import { Select, TextField } from "../ui/field";
import { NamesField } from "../ui/names";
import { Failure, Notice } from "../ui/notice";

const roles = [["viewer", "viewer: sees, asks"], ["editor", "editor: changes groups and instances"],
  ["operator", "operator: makes projects and tokens, rolls back"]] as const;

const ends = [["1", "1 day"], ["30", "30 days"], ["365", "a year"], ["", "never"]] as const;

export function NewTokenDialog({ close }: { close: () => void }) {
  const { client } = useApp();
  const [role, setRole] = useState<Role>("editor");
  const [project, setProject] = useState<string[]>([]);
  const [description, setDescription] = useState("");
  const [days, setDays] = useState<typeof ends[number][0]>("30");
  const [text, setText] = useState("");
  const [error, setError] = useState<unknown>();
  const key = useRef(newKey());
  const make = async (e: Event) => {
    e.preventDefault();
    setError(undefined);
    try {
      const made = await client.makeToken({ role, project: project[0],
        description: description.trim() || undefined, expires: days === "" ? undefined
          : new Date(Date.now() + Number(days) * 86_400_000).toISOString() }, key.current);
      setText(made.token ?? "");
    } catch (why) {
      key.current = newKey();
      setError(why);
    }
  };
  if (text !== "") return <Made text={text} close={close} />;
  const find = async (q: string, s: AbortSignal) =>
    (await client.projects({ q, limit: 20 }, s)).items.map((p) => p.name);
  return (
    <Dialog title="New token" close={close}>
      <form class="stack" onSubmit={(e) => void make(e)}>
        <TextField label="Description" value={description} set={setDescription}
          placeholder="whose it is, and what for" maxLength={255} />
        <Select label="Role" value={role} set={setRole} options={roles} />
        <NamesField label="Project" names={project} set={(l) => setProject(l.slice(-1))} find={find}
          placeholder="none: of everything" hint="It sees nothing of other projects." />
        <Select label="Ends after" value={days} set={setDays} options={ends} />
        {error !== undefined && <Failure error={error} what="token was made" />}
        <div class="row end"><button type="submit" class="main">Make it</button></div>
      </form>
    </Dialog>
  );
}

function Made({ text, close }: { text: string; close: () => void }) {
  const [said, say] = useState("");
  const copy = () => navigator.clipboard.writeText(text).then(() => say("Copied."),
    () => say("The browser does not let a page copy: select it, and copy by hand."));
  return (
    <Dialog title="The token is made" close={close} isFixed>
      <Notice kind="warn" title="It is shown this once">
        <p>Nobody can have it again: keep it where secrets are kept.</p></Notice>
      <pre class="secret" tabIndex={0} aria-label="Token"><code>{text}</code></pre>
      <div class="row">
        <button type="button" onClick={() => void copy()}>Copy</button>
        <span role="status">{said}</span>
      </div>
      <div class="row end"><button type="button" class="main" onClick={close}>I have it</button></div>
    </Dialog>
  );
}
