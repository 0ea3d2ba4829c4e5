// Packets that are denied, live, of all hosts. The route /denied shows it.

import { useState } from "preact/hooks";

import { Filter } from "../ui/field";
import { DeniedList } from "./deniedlist";

export default function DeniedPage() {
  const [filter, setFilter] = useState("");
  return (
    <div class="stack">
      <div class="row apart">
        <h1>Denied</h1>
        <Filter label="Filter packets" value={filter} set={setFilter}
          placeholder="Filter: web-1 tcp/22" />
      </div>
      <DeniedList chosen={{}} filter={filter} />
    </div>
  );
}
