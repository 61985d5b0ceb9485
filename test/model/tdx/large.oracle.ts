// A third account of the secure EPT, of its second 2 MB only, with every one of the 512 pages of each block written out: what the model says of runs of pages
// is held against it. From tdh_mem_page_aug.c, _demote.c, _promote.c, tdg_mem_page_accept.c and pamt_manager.c; one host thread, one vCPU, a TD that runs.

export const PAGES = [0, 1, 3, 511] as const;
const BLOCKS = ["one", "two"] as const;
const ALL = 512;

export type Step =
  | { readonly kind: "augLarge"; readonly block: number; readonly page: number }
  | { readonly kind: "aug"; readonly at: number; readonly block: number; readonly page: number }
  | { readonly kind: "block" | "unblock" | "remove"; readonly at: number; readonly level: number }
  | { readonly kind: "demote" | "addTable" }
  | { readonly kind: "promote" | "removeTable" | "track" | "enter" | "kick" }
  | { readonly kind: "load" | "store" | "accept"; readonly at: number; readonly level: number };

const gpaOf = (at: number): string => `0x${((ALL + at) * 4096).toString(16)}`;

export function lineOf(step: Step): string {
  switch (step.kind) {
    case "augLarge":
      return `TDH.MEM.PAGE.AUG(td, 2M, 1, ${BLOCKS[step.block]}${step.page > 0 ? ` + ${step.page} * 4K` : ""})`;
    case "aug":
      return `TDH.MEM.PAGE.AUG(td, ${gpaOf(step.at)}, 0, ${BLOCKS[step.block]}${step.page > 0 ? ` + ${step.page} * 4K` : ""})`;
    case "block":
    case "unblock":
      return `TDH.MEM.RANGE.${step.kind.toUpperCase()}(td, ${gpaOf(step.level === 1 ? 0 : step.at)}, ${step.level})`;
    case "remove":
      return `TDH.MEM.PAGE.REMOVE(td, ${gpaOf(step.level === 1 ? 0 : step.at)}, ${step.level})`;
    case "demote":
      return "TDH.MEM.PAGE.DEMOTE(td, 2M, 1, tablePage)";
    case "addTable":
      return "TDH.MEM.SEPT.ADD(td, 2M, 1, tablePage)";
    case "promote":
      return "TDH.MEM.PAGE.PROMOTE(td, 2M, 1)";
    case "removeTable":
      return "TDH.MEM.SEPT.REMOVE(td, 2M, 1)";
    case "track":
      return "TDH.MEM.TRACK(td)";
    case "enter":
      return "TDH.VP.ENTER(vcpu0)";
    case "kick":
      return "kick(vcpu0)";
    case "load":
      return `vcpu0: load(${gpaOf(step.at)})`;
    case "store":
      return `vcpu0: store(${gpaOf(step.at)}, 0x99)`;
    case "accept":
      return `vcpu0: TDG.MEM.PAGE.ACCEPT(${gpaOf(step.level === 1 ? 0 : step.at)}, ${step.level})`;
  }
}

type Is = "FREE" | "MAPPED" | "BLOCKED" | "PENDING" | "PENDING_BLOCKED" | "NL_MAPPED" | "NL_BLOCKED";
const PUBLIC: Readonly<Record<Is, string>> = {
  FREE: "0",
  BLOCKED: "1",
  PENDING: "2",
  PENDING_BLOCKED: "3",
  MAPPED: "4",
  NL_BLOCKED: "0x81",
  NL_MAPPED: "0x84",
};
const BLOCKED: Partial<Record<Is, Is>> = { MAPPED: "BLOCKED", PENDING: "PENDING_BLOCKED", NL_MAPPED: "NL_BLOCKED" };
const UNBLOCKED: Partial<Record<Is, Is>> = { BLOCKED: "MAPPED", PENDING_BLOCKED: "PENDING", NL_BLOCKED: "NL_MAPPED" };

/** An entry, and the pages that it names: the first one of a block for one of level 1. */
interface Entry {
  is: Is;
  block: number;
  page: number;
}

/** What the PAMT has of a page: given or not, and the epoch of its block. */
interface Given {
  given: boolean;
  bepoch: number;
}

const SUCCESS = "TDX_SUCCESS";
const STATE = "TDX_EPT_ENTRY_STATE_INCORRECT/RCX";
const METADATA = "TDX_PAGE_METADATA_INCORRECT/R8";
const free = (): Entry => ({ is: "FREE", block: -1, page: -1 });

export class Oracle {
  readonly #large: Entry = free();
  readonly #small: Entry[] = Array.from({ length: ALL }, free);
  readonly #pamtLarge: Given[] = BLOCKS.map(() => ({ given: false, bepoch: 0 }));
  readonly #pamtSmall: Given[][] = BLOCKS.map(() => Array.from({ length: ALL }, () => ({ given: false, bepoch: 0 })));
  readonly #content: number[][] = BLOCKS.map(() => new Array<number>(ALL).fill(-1));
  readonly #table: Given = { given: false, bepoch: 0 };
  #epoch = 1;
  readonly #refcount = [0, 0];
  readonly #vcpu = { inside: false, stays: false, epoch: 0, tlb: new Map<number, { block: number; page: number }>() };

  /** CHLDCNT beyond what the TD had before. */
  get children(): number {
    const small = this.#pamtSmall.flat().filter(({ given }) => given).length;
    return small + ALL * this.#pamtLarge.filter(({ given }) => given).length + (this.#table.given ? 1 : 0);
  }

  answer(step: Step): string {
    switch (step.kind) {
      case "augLarge":
        return this.#augLarge(step.block, step.page);
      case "aug":
        return this.#reach(0) ?? this.#aug(this.#small[step.at], step.block, step.page);
      case "block":
        return this.#reach(step.level) ?? this.#turn(this.#entry(step), true);
      case "unblock":
        return this.#reach(step.level) ?? this.#turn(this.#entry(step), false);
      case "remove":
        return this.#reach(step.level) ?? this.#remove(this.#entry(step), step.level);
      case "demote":
        return this.#demote();
      case "promote":
        return this.#promote();
      case "addTable":
        return this.#addTable();
      case "removeTable":
        return this.#removeTable();
      case "track":
        if (this.#refcount[1 - (this.#epoch % 2)] !== 0) return "TDX_PREVIOUS_TLB_EPOCH_BUSY";
        this.#epoch += 1;
        return SUCCESS;
      case "enter":
        return this.#enter(true);
      case "kick":
        this.#exit();
        return "0";
      default:
        return this.#guest(step);
    }
  }

  #entry(step: { readonly at: number; readonly level: number }): Entry {
    return step.level === 1 ? this.#large : this.#small[step.at];
  }

  /** A walk to level 0 needs the table. */
  #reach(level: number): string | undefined {
    return level === 1 || this.#large.is === "NL_MAPPED" ? undefined : "TDX_EPT_WALK_FAILED/RCX";
  }

  #pamtOf({ is, block, page }: Entry): Given {
    if (is === "NL_MAPPED" || is === "NL_BLOCKED") return this.#table;
    return page === -1 ? this.#pamtLarge[block] : this.#pamtSmall[block][page];
  }

  #augLarge(block: number, page: number): string {
    if (this.#large.is !== "FREE") return STATE;
    if (page !== 0) return "TDX_OPERAND_INVALID/R8";
    if (this.#pamtLarge[block].given || this.#pamtSmall[block].some(({ given }) => given)) return METADATA;
    Object.assign(this.#pamtLarge[block], { given: true, bepoch: 0 });
    Object.assign(this.#large, { is: "PENDING", block, page: -1 });
    return SUCCESS;
  }

  #aug(entry: Entry, block: number, page: number): string {
    if (entry.is !== "FREE") return STATE;
    if (this.#pamtLarge[block].given || this.#pamtSmall[block][page].given) return METADATA;
    Object.assign(this.#pamtSmall[block][page], { given: true, bepoch: 0 });
    Object.assign(entry, { is: "PENDING", block, page });
    return SUCCESS;
  }

  #tracked({ bepoch }: Given): boolean {
    return bepoch < this.#epoch - 1 || (bepoch === this.#epoch - 1 && this.#refcount[bepoch % 2] === 0);
  }

  #untracked(entry: Entry): string | undefined {
    if (UNBLOCKED[entry.is] === undefined) return "TDX_GPA_RANGE_NOT_BLOCKED/RCX";
    return this.#tracked(this.#pamtOf(entry)) ? undefined : "TDX_TLB_TRACKING_NOT_DONE/RCX";
  }

  #turn(entry: Entry, block: boolean): string {
    if (block) {
      if (UNBLOCKED[entry.is] !== undefined) return "TDX_GPA_RANGE_ALREADY_BLOCKED/RCX";
      const to = BLOCKED[entry.is];
      if (to === undefined) return STATE;
      entry.is = to;
      this.#pamtOf(entry).bepoch = this.#epoch;
      return SUCCESS;
    }
    const to = UNBLOCKED[entry.is];
    if (to === undefined) return STATE;
    if (!this.#tracked(this.#pamtOf(entry))) return "TDX_TLB_TRACKING_NOT_DONE/SEPT_TREE";
    entry.is = to;
    return SUCCESS;
  }

  #remove(entry: Entry, level: number): string {
    const isLeaf = entry.is !== "FREE" && entry.is !== "NL_MAPPED" && entry.is !== "NL_BLOCKED";
    if (!isLeaf) return STATE;
    const refused = this.#untracked(entry);
    if (refused) return refused;
    this.#pamtOf(entry).given = false;
    Object.assign(entry, free());
    return level >= 0 ? SUCCESS : "";
  }

  #demote(): string {
    const { is, block } = this.#large;
    if (is === "FREE" || is === "NL_MAPPED" || is === "NL_BLOCKED") return STATE;
    const refused = this.#untracked(this.#large);
    if (refused) return refused;
    if (this.#table.given) return METADATA;
    this.#pamtLarge[block].given = false;
    const to = UNBLOCKED[is] as Is;
    for (let page = 0; page < ALL; page++) {
      Object.assign(this.#pamtSmall[block][page], { given: true, bepoch: 0 });
      this.#small[page] = { is: to, block, page };
    }
    this.#giveTable();
    return SUCCESS;
  }

  #promote(): string {
    if (this.#large.is !== "NL_MAPPED" && this.#large.is !== "NL_BLOCKED") return STATE;
    const refused = this.#untracked(this.#large);
    if (refused) return refused;
    const [first] = this.#small;
    const { block, is } = first;
    const fits = ({ is: other, block: of, page }: Entry, at: number): boolean => other === is && of === block && page === at;
    if ((is !== "MAPPED" && is !== "PENDING") || !this.#small.every(fits)) return "TDX_EPT_INVALID_PROMOTE_CONDITIONS/RCX";
    Object.assign(this.#pamtLarge[block], { given: true });
    for (const given of this.#pamtSmall[block]) given.given = false;
    this.#small.forEach((_, at) => void (this.#small[at] = free()));
    Object.assign(this.#large, { is, block, page: -1 });
    this.#table.given = false;
    return SUCCESS;
  }

  #giveTable(): void {
    Object.assign(this.#table, { given: true, bepoch: 0 });
    Object.assign(this.#large, { is: "NL_MAPPED", block: -1, page: -1 });
  }

  #addTable(): string {
    if (this.#large.is !== "FREE") return STATE;
    if (this.#table.given) return METADATA;
    this.#giveTable();
    return SUCCESS;
  }

  #removeTable(): string {
    if (this.#large.is !== "NL_MAPPED" && this.#large.is !== "NL_BLOCKED") return STATE;
    const refused = this.#untracked(this.#large);
    if (refused) return refused;
    if (this.#small.some(({ is }) => is !== "FREE")) return "TDX_EPT_PAGE_NOT_FREE/RCX";
    this.#table.given = false;
    Object.assign(this.#large, free());
    return SUCCESS;
  }

  #enter(stays: boolean): string {
    if (this.#vcpu.inside) return "TDX_VCPU_STATE_INCORRECT";
    if (this.#vcpu.epoch !== this.#epoch) this.#vcpu.tlb.clear();
    Object.assign(this.#vcpu, { inside: true, stays, epoch: this.#epoch });
    this.#refcount[this.#epoch % 2] += 1;
    return SUCCESS;
  }

  #exit(): void {
    if (!this.#vcpu.inside) return;
    this.#vcpu.inside = false;
    this.#refcount[this.#vcpu.epoch % 2] -= 1;
  }

  #violation(at: number, eeq: number, more = ""): string {
    this.#exit();
    return `exit EXIT_REASON_EPT_VIOLATION {gpa=${gpaOf(at)}, eeq=${eeq}${more}}`;
  }

  #guest({ kind, at, level }: Step & { readonly kind: "load" | "store" | "accept" }): string {
    if (!this.#vcpu.inside) this.#enter(false);
    const answer = kind === "accept" ? this.#accept(level === 1 ? 0 : at, level) : this.#access(kind, at);
    if (!this.#vcpu.stays) this.#exit();
    return answer;
  }

  #access(kind: "load" | "store", at: number): string {
    let where = this.#vcpu.tlb.get(at);
    if (!where) {
      const isTable = this.#large.is === "NL_MAPPED";
      const leaf = isTable ? this.#small[at] : this.#large;
      if (leaf.is === "PENDING") return this.#violation(at, 6);
      if (leaf.is !== "MAPPED") return this.#violation(at, 0);
      where = { block: leaf.block, page: at };
      if (isTable) where = { block: leaf.block, page: leaf.page };
      // One entry of the TLB has all of a large page.
      for (let page = 0; page < ALL; page++) {
        if (!isTable) this.#vcpu.tlb.set(page, { block: leaf.block, page });
        else if (page === at) this.#vcpu.tlb.set(page, where);
      }
    }
    if (kind === "load") {
      const byte = this.#content[where.block][where.page];
      return `0x${byte.toString(16).padStart(2, "0")}`;
    }
    this.#content[where.block][where.page] = 0x99;
    return "0";
  }

  #accept(at: number, level: number): string {
    if (level === 0 && this.#large.is !== "NL_MAPPED") {
      if (this.#large.is === "MAPPED") return "TDX_PAGE_ALREADY_ACCEPTED/LVL_PD";
      return this.#violation(at, 1, `, level=1, state=${PUBLIC[this.#large.is]}`);
    }
    const entry = level === 1 ? this.#large : this.#small[at];
    if (entry.is === "NL_MAPPED" || entry.is === "NL_BLOCKED") return "TDX_PAGE_SIZE_MISMATCH/LVL_PD";
    if (entry.is === "MAPPED") return `TDX_PAGE_ALREADY_ACCEPTED${level === 1 ? "/LVL_PD" : ""}`;
    if (entry.is !== "PENDING") return this.#violation(at, 1, `, level=${level}, state=${PUBLIC[entry.is]}`);
    entry.is = "MAPPED";
    for (let page = 0; page < ALL; page++) if (level === 1 || page === entry.page) this.#content[entry.block][page] = 0;
    return SUCCESS;
  }
}
