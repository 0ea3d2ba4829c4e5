// What the shell has heard of the policy: the newest generation, and which one is on trial. It hears
// by a stream, or asks. No DOM; session.ts keeps it.

import type { Change } from "../api";

export interface Heard {
  generation: number;
  /** trial is the generation on trial; 0 = none. */
  trial: number;
}

/** Puts together what is told and what is asked for. Generations only grow; a trial comes and goes,
 *  so an answer says nothing of it that was asked for before something was told. */
export class News {
  heard: Heard = { generation: 0, trial: 0 };
  private told = 0;

  constructor(private readonly tell: (h: Heard) => void) {}

  /** change: somebody has made a generation. */
  change(generation: number): void {
    this.note(generation, this.heard.trial);
  }

  /** trial: that generation is on trial now; undefined = none is. */
  trial(generation: number | undefined): void {
    this.told++;
    this.note(this.heard.generation, generation ?? 0);
  }

  /** asked is called when a question is sent, and what it returns with the answer. */
  asked(): (status: { generation: number; on_trial?: number }) => void {
    const told = this.told;
    return (s) => this.note(s.generation,
      told === this.told ? s.on_trial ?? 0 : this.heard.trial);
  }

  private note(generation: number, trial: number): void {
    const next = { generation: Math.max(generation, this.heard.generation), trial };
    if (next.generation === this.heard.generation && trial === this.heard.trial) return;
    this.tell(this.heard = next);
  }
}

/** Whether a change was on trial and is so no more: a change followed that is not beside it. The
 *  list has all changes that are newer. One that was confirmed is none: it has no confirm_by. */
export const isTakenBack = (c: Change, all: readonly Change[]): boolean =>
  c.confirm_by !== undefined &&
    all.some((later) => later.generation > c.generation && later.beside !== c.generation);
