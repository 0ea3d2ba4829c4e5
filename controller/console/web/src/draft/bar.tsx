// The bar of the draft: it is there as long as something is not applied, on every page but its own.

import { useApp } from "../app";
import { counted } from "../model/list";
import { messageOf, sizeOf } from "../model/draft";
import { useDraft } from "./store";

export function DraftBar({ path }: { path: string }) {
  const { project } = useApp();
  const [draft] = useDraft(project);
  const n = sizeOf(draft);
  if (n === 0 || path === "/draft") return null;
  return (
    <aside class="draft-bar row apart" aria-label="Draft">
      <span><strong>Draft</strong> {counted(n, "change")}: {messageOf(draft)}.{" "}
        <span class="dim">Only you can see it.</span></span>
      <a class="button main-link" href="/draft">Review and apply</a>
    </aside>
  );
}
