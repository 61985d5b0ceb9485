// Memory is partitioned, not enumerated: every boundary that a scenario mentions, carried across bindings until nothing changes, cuts each space
// (a file, a VM's guest-physical space, a host mapping) into cells whose pages behave alike. Page numbers are plain numbers (below 2^52).

import { CutNeeded } from "./refine.ts";

/** Space names: `file 0`, `vm 0`, `map 0` by pages; `page` for byte offsets inside any page. */
export const fileSpace = (index: number): string => `file ${index}`;
export const vmSpace = (index: number): string => `vm ${index}`;
export const mapSpace = (index: number): string => `map ${index}`;
export const BYTES = "page";

/** [from, from + pages) of one space lies on [to, to + pages) of another: a boundary in one is a boundary in the other. */
interface Link {
  readonly a: string;
  readonly from: number;
  readonly b: string;
  readonly to: number;
  readonly pages: number;
}

export class Cuts {
  readonly #boundaries = new Map<string, Set<number>>();
  readonly #links: Link[] = [];

  /** Cuts at `at`, and wherever that boundary is carried to. */
  cut(space: string, at: number): void {
    if (!Number.isSafeInteger(at) || at < 0) return;
    let boundaries = this.#boundaries.get(space);
    if (!boundaries) this.#boundaries.set(space, (boundaries = new Set()));
    if (boundaries.has(at)) return;
    boundaries.add(at);
    for (const link of this.#links) this.#carry(link, space, at);
  }

  /** One page of its own. */
  page(space: string, page: number): void {
    this.cut(space, page);
    this.cut(space, page + 1);
  }

  link(a: string, from: number, b: string, to: number, pages: number): void {
    const link = { a, from, b, to, pages };
    this.#links.push(link);
    for (const space of [a, b]) for (const at of [...(this.#boundaries.get(space) ?? [])]) this.#carry(link, space, at);
    this.cut(a, from);
    this.cut(a, from + pages);
  }

  #carry(link: Link, space: string, at: number): void {
    if (space === link.a && at >= link.from && at <= link.from + link.pages) this.cut(link.b, at - link.from + link.to);
    if (space === link.b && at >= link.to && at <= link.to + link.pages) this.cut(link.a, at - link.to + link.from);
  }

  cells(space: string): Cells {
    return new Cells(
      space,
      [...(this.#boundaries.get(space) ?? [])].sort((a, b) => a - b),
    );
  }
}

/** The cells of one space: cell i = [bounds[i], bounds[i + 1]). */
export class Cells {
  readonly space: string;
  readonly bounds: readonly number[];
  readonly #index = new Map<number, number>();

  constructor(space: string, bounds: readonly number[]) {
    this.space = space;
    this.bounds = bounds;
    bounds.forEach((at, index) => this.#index.set(at, index));
  }

  get count(): number {
    return Math.max(0, this.bounds.length - 1);
  }

  start(cell: number): number {
    return this.bounds[cell];
  }

  end(cell: number): number {
    return this.bounds[cell + 1];
  }

  single(cell: number): boolean {
    return this.bounds[cell + 1] - this.bounds[cell] === 1;
  }

  /** The cell that holds `at`, or -1 outside all boundaries. */
  at(at: number): number {
    let low = 0;
    let high = this.bounds.length - 1;
    if (high < 1 || at < this.bounds[0] || at >= this.bounds[high]) return -1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.bounds[middle] <= at) low = middle;
      else high = middle;
    }
    return low;
  }

  /** The cell that is exactly [at, at + 1); `CutNeeded` where there is none yet. */
  one(at: number): number {
    const cell = this.at(at);
    if (cell >= 0 && this.bounds[cell] === at && this.bounds[cell + 1] === at + 1) return cell;
    throw new CutNeeded(this.space, this.#index.has(at) ? at + 1 : at);
  }

  /** The number of the boundary at `at`: of the first cell behind it. */
  boundary(at: number): number {
    const index = this.#index.get(at);
    if (index === undefined) throw new CutNeeded(this.space, at);
    return index;
  }

  /** Cells that make up [from, to) exactly. */
  range(from: number, to: number): number[] {
    if (to <= from) return [];
    const first = this.boundary(from);
    const last = this.boundary(to);
    return Array.from({ length: last - first }, (_, index) => first + index);
  }
}
