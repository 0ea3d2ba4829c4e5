// Reads server-sent events (HTML, section 9.2) from text that comes in pieces. stream.ts calls this;
// it has no DOM.

/** An event as it was sent. */
export interface SentEvent {
  kind: string;
  id: string;
  data: string;
}

/** Takes text in pieces of any size, and hands on each event that is complete. */
export class EventReader {
  private rest = "";
  private kind = "";
  private data: string[] = [];
  /** id is that of the last event, to go on from. */
  id = "";

  constructor(private readonly take: (e: SentEvent) => void) {}

  push(text: string): void {
    this.rest += text;
    for (;;) {
      const end = /\r\n|\n|\r(?!$)/.exec(this.rest);
      if (!end) return;
      const line = this.rest.slice(0, end.index);
      this.rest = this.rest.slice(end.index + end[0].length);
      this.line(line);
    }
  }

  private line(line: string): void {
    if (line === "") {
      if (this.data.length > 0) {
        this.take({ kind: this.kind || "message", id: this.id, data: this.data.join("\n") });
      }
      this.kind = "";
      this.data = [];
      return;
    }
    const at = line.indexOf(":");
    if (at === 0) return; // a comment: the stream is alive
    const field = at < 0 ? line : line.slice(0, at);
    const value = at < 0 ? "" : line.slice(at + 1).replace(/^ /, "");
    if (field === "event") this.kind = value;
    if (field === "data") this.data.push(value);
    if (field === "id" && !value.includes("\0")) this.id = value;
  }
}

/** How long to wait before the nth attempt in a row, in milliseconds: at most half a minute. */
export const backOff = (attempt: number, chance: number): number =>
  Math.min(30_000, 500 * 2 ** Math.min(attempt, 6)) * (0.75 + chance / 2);
