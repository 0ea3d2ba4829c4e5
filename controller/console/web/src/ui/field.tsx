// Fields of forms: a name, the control, a hint, and what is wrong, tied together for those who hear
// the page.

import type { ComponentChildren, JSX } from "preact";
import { useId } from "preact/hooks";

interface Common {
  label: string;
  hint?: ComponentChildren;
  error?: string;
}

/** The attributes that tie a control to its hint and its mistake. */
function tied(id: string, { hint, error }: Common) {
  const by = [hint ? `${id}-hint` : "", error ? `${id}-error` : ""].filter(Boolean).join(" ");
  return { id, "aria-describedby": by || undefined,
    "aria-invalid": error ? "true" as const : undefined };
}

function Around({ id, label, hint, error, children }: Common & {
  id: string; children: ComponentChildren;
}) {
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children}
      {hint && <p id={`${id}-hint`} class="small dim">{hint}</p>}
      {error && <p id={`${id}-error`} class="small lost field-error">{error}</p>}
    </div>
  );
}

export function TextField({ label, hint, error, value, set, ...rest }: Common & {
  value: string; set: (v: string) => void;
} & Omit<JSX.InputHTMLAttributes<HTMLInputElement>, "value" | "label">) {
  const id = useId();
  return (
    <Around {...{ id, label, hint, error }}>
      <input spellcheck={false} autocomplete="off" {...rest} value={value}
        {...tied(id, { label, hint, error })} onInput={(e) => set(e.currentTarget.value)} />
    </Around>
  );
}

export function Select<V extends string>({ label, hint, error, value, set, options }: Common & {
  value: V; set: (v: V) => void; options: readonly (readonly [V, string])[];
}) {
  const id = useId();
  return (
    <Around {...{ id, label, hint, error }}>
      <select value={value} {...tied(id, { label, hint, error })}
        onChange={(e) => set(e.currentTarget.value as V)}>
        {options.map(([v, text]) => <option key={v} value={v}>{text}</option>)}
      </select>
    </Around>
  );
}

export function Check({ label, hint, value, set, disabled }: {
  label: string; hint?: string; value: boolean; set: (v: boolean) => void; disabled?: boolean;
}) {
  const id = useId();
  return (
    <div class="check">
      <input type="checkbox" id={id} checked={value} disabled={disabled}
        aria-describedby={hint ? `${id}-hint` : undefined}
        onChange={(e) => set(e.currentTarget.checked)} />
      <div>
        <label for={id}>{label}</label>
        {hint && <p id={`${id}-hint`} class="small dim">{hint}</p>}
      </div>
    </div>
  );
}

/** A filter above a table. */
export function Filter({ label, value, set, placeholder }: {
  label: string; value: string; set: (v: string) => void; placeholder?: string;
}) {
  return (
    <input type="search" class="filter" aria-label={label} placeholder={placeholder ?? label}
      spellcheck={false} value={value} onInput={(e) => set(e.currentTarget.value)} />
  );
}
