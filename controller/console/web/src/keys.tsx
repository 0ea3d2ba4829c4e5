// Keys of the console, and the page that tells of them. They can be turned off, as people who speak
// to their computer need (WCAG 2.1.4). The shell listens.

import { useEffect } from "preact/hooks";

import { go } from "./go";
import { Check } from "./ui/field";
import { Dialog } from "./ui/dialog";

const kept = "portcullis-keys";

export const areOn = () => localStorage.getItem(kept) !== "off";

/** Where g and a letter go. */
export const ways: readonly (readonly [string, string, string])[] = [
  ["g", "/", "groups"], ["i", "/instances", "instances"], ["r", "/picture", "reachability"],
  ["w", "/why", "why?"], ["d", "/denied", "denied packets"], ["h", "/hosts", "hosts"],
  ["t", "/history", "history"], ["c", "/draft", "the draft"],
];

const isTyping = (e: KeyboardEvent) => e.target instanceof Element &&
  e.target.closest("input, textarea, select, dialog, [contenteditable]") !== null;

/** Listens to keys that no field takes. */
export function useKeys(help: () => void): void {
  useEffect(() => {
    let afterG = 0;
    const hear = (e: KeyboardEvent) => {
      if (!areOn() || e.ctrlKey || e.metaKey || e.altKey || isTyping(e)) return;
      if (Date.now() - afterG < 1500) {
        afterG = 0;
        const way = ways.find(([letter]) => letter === e.key);
        if (way) { e.preventDefault(); go(way[1]); }
        return;
      }
      if (e.key === "g") afterG = Date.now();
      else if (e.key === "?") help();
      else if (e.key === "/") {
        e.preventDefault();
        document.getElementById("search")?.focus();
      }
    };
    addEventListener("keydown", hear);
    return () => removeEventListener("keydown", hear);
  }, []);
}

export function KeysDialog({ close, on, set }: {
  close: () => void; on: boolean; set: (on: boolean) => void;
}) {
  return (
    <Dialog title="Keyboard shortcuts" close={close}>
      <dl class="keys">
        <div><dt><kbd>/</kbd></dt><dd>search</dd></div>
        <div><dt><kbd>?</kbd></dt><dd>this list</dd></div>
        {ways.map(([letter, , what]) => (
          <div key={letter}><dt><kbd>g</kbd> <kbd>{letter}</kbd></dt><dd>{what}</dd></div>
        ))}
        <div><dt><kbd>Esc</kbd></dt><dd>close, or leave the search</dd></div>
      </dl>
      <Check label="Single-key shortcuts" value={on} set={(v) => {
        localStorage.setItem(kept, v ? "on" : "off");
        set(v);
      }} hint="Everything can also be reached with Tab and Enter." />
    </Dialog>
  );
}
