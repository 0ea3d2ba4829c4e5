// What the API says of a matrix. types.ts hands it on to the client and to pages.

/** An end of a matrix: a group, a network, an instance or the outside. */
export interface End {
  name: string;
  kind?: string;
  [other: string]: unknown;
}

/** A cell in which anything passes. */
export interface Cell {
  from: string;
  to: string;
  services: string[];
  of_some?: string[];
}

export interface Arrow {
  from: string;
  to: string;
  [other: string]: unknown;
}

export interface Matrix {
  generation: number;
  ends: End[];
  cells: Cell[];
  arrows?: Arrow[];
}
