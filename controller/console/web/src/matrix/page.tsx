// The page of the matrix alone, with the rules of what is chosen. The route /matrix shows it.

import { useMemo, useState } from "preact/hooks";

import { mayEdit, useApp, useAsk } from "../app";
import { go, useAddress } from "../go";
import type { Choice } from "../picture/canvas";
import { Details } from "../picture/details";
import { between, graphOf } from "../picture/graph";
import { loadPolicy } from "../picture/load";
import type { Policy } from "../picture/load";
import { count } from "../picture/text";
import { Service } from "../picture/toolbar";
import { Empty, Failure, Waiting } from "../ui/notice";
import { MatrixCard } from "./card";

export default function MatrixPage() {
  const { client, generation } = useApp();
  const [seen, setSeen] = useState(0);
  const asked = useAsk((s) => loadPolicy(client, s, setSeen), [client, generation]);
  if (asked.data === undefined) {
    return asked.error ? <Failure error={asked.error} what="load the matrix" again={asked.again} />
      : <Waiting what={seen > 0 ? `the policy: ${count(seen, "group")} so far` : "the policy"} />;
  }
  return <Loaded policy={asked.data} />;
}

function Loaded({ policy }: { policy: Policy }) {
  const { who } = useApp();
  const service = useAddress().searchParams.get("service") ?? "";
  const [chosen, choose] = useState<Choice>();
  const graph = useMemo(() => graphOf(policy.groups), [policy.groups]);
  const set = (text: string): void =>
    go(text === "" ? "/matrix" : `/matrix?${new URLSearchParams({ service: text })}`, "replace");
  if (policy.groups.length === 0) {
    return <Empty title="No groups yet">
      <p>The matrix says who reaches whom, with a row and a column for each group.</p>
      <div><a class="button main" href="/">{mayEdit(who) ? "Create the first group" : "Groups"}</a></div>
    </Empty>;
  }
  return (
    <div class="stack wide">
      <header class="stack">
        <div class="row apart"><h1>Matrix</h1><a class="button" href="/picture">Reachability map</a></div>
        <div class="toolbar" role="group" aria-label="View">
          <Service value={service} set={set} /></div>
      </header>
      <MatrixCard policy={policy} service={service} chosen={chosen}
        choose={(from, to) => choose({ kind: "arrow", id: between(graph, from, to) })} />
      {chosen && <Details graph={graph} whole={graph} chosen={chosen} choose={choose}
        around={(id) => go(`/picture?around=${encodeURIComponent(id)}`)} unfold={() => {}} />}
    </div>
  );
}
