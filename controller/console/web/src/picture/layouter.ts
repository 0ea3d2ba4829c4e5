// Layouts, asked of a worker. A new question ends the one before: its worker is stopped, however
// long it would have taken. picture.tsx calls this.

import { startWorker } from "../worker";
import type { Layout, Plan } from "./layout";
import address from "./layout.worker.ts?worker";

/** How long a layout may take, in milliseconds. */
const most = 15_000;

export class Layouter {
  private worker: Worker | undefined;
  private fail: ((e: Error) => void) | undefined;

  /** warm starts the worker before there is a question: it loads while the data do. */
  warm(): void {
    if (this.worker !== undefined) return;
    this.worker = startWorker(address);
    this.worker.onerror = () => this.stop(); // the next question starts another
  }

  /** ask lays out; a question that a later one replaces never answers. */
  ask(plan: Plan): Promise<Layout> {
    if (this.fail !== undefined) this.stop();
    this.warm();
    const worker = this.worker!;
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer);
        this.fail = undefined;
      };
      const fail = (e: Error): void => {
        this.stop();
        end();
        reject(e);
      };
      const timer = setTimeout(() => fail(new Error("too much is to be drawn at once")), most);
      this.fail = () => clearTimeout(timer);
      worker.onmessage = (e: MessageEvent<{ layout?: Layout; error?: string }>) => {
        end();
        if (e.data.layout !== undefined) resolve(e.data.layout);
        else reject(new Error(e.data.error ?? "no layout"));
      };
      worker.onerror = (e) => fail(new Error(e.message || "the drawing could not be started"));
      worker.postMessage(plan);
    });
  }

  /** stop ends the worker, and a question that is open. */
  stop(): void {
    this.fail?.(new Error("stopped"));
    this.fail = undefined;
    this.worker?.terminate();
    this.worker = undefined;
  }
}
