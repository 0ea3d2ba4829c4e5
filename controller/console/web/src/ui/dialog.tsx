// A question that is answered before anything else. The browser's own dialog keeps the focus inside,
// closes by Escape and gives the focus back.

import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";

export function Dialog({ title, close, children, isFixed, wide }: {
  title: string; close: () => void; children: ComponentChildren;
  /** isFixed = there is no way past it. */
  isFixed?: boolean; wide?: boolean;
}) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const d = ref.current;
    if (d && !d.open) {
      d.showModal();
      d.querySelector<HTMLElement>(".dialog-body :is(input, select, textarea, summary, button)")?.focus();
    }
    return () => d?.close();
  }, []);
  return (
    <dialog ref={ref} class={wide ? "wide" : ""} aria-labelledby={id}
      onCancel={(e) => { e.preventDefault(); if (!isFixed) close(); }} onClose={() => {
        // a second Escape closes it whatever onCancel says; not by us, if it is there still
        if (ref.current && isFixed) ref.current.showModal();
        else if (ref.current) close();
      }}>
      <div class="dialog-head row apart">
        <h2 id={id}>{title}</h2>
        {!isFixed && (
          <button type="button" class="bare" aria-label="Close" onClick={close}>✕</button>
        )}
      </div>
      <div class="stack dialog-body">{children}</div>
    </dialog>
  );
}
