// The worker that lays pictures out, so that the page never waits. layouter.ts starts it.

import { layOut } from "./layout";
import type { Plan } from "./layout";

addEventListener("message", (e: MessageEvent<Plan>) => {
  try {
    postMessage({ layout: layOut(e.data) });
  } catch (error) {
    postMessage({ error: String(error) });
  }
});
