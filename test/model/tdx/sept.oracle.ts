// A second, small account of the secure EPT, written from the tables of the module's sources and not from the model: one thread, a TD with two vCPUs and the
// tables of its first 2 MB. It says what each call answers.

/** Leaves with 4 KB pages, at guest pages of the first 2 MB and the table above them. */
export type Step =
  | { readonly kind: "aug" | "relocate"; readonly gpa: number; readonly page: number }
  | { readonly kind: "add"; readonly gpa: number; readonly page: number }
  | { readonly kind: "block" | "unblock" | "remove" | "read"; readonly gpa: number }
  | { readonly kind: "blockTable" | "unblockTable" | "removeTable" | "extend"; readonly gpa: number }
  | { readonly kind: "addTable"; readonly page: number }
  | { readonly kind: "track" | "finalize" }
  | { readonly kind: "enter" | "kick"; readonly vcpu: number }
  | { readonly kind: "load" | "store" | "accept"; readonly vcpu: number; readonly gpa: number };

const gpaText = (gpa: number): string => `0x${(gpa * 4096).toString(16)}`;

export function lineOf(step: Step): string {
  switch (step.kind) {
    case "aug":
      return `TDH.MEM.PAGE.AUG(td, ${gpaText(step.gpa)}, 0, page[${step.page}])`;
    case "relocate":
      return `TDH.MEM.PAGE.RELOCATE(td, ${gpaText(step.gpa)}, page[${step.page}])`;
    case "add":
      return `TDH.MEM.PAGE.ADD(td, ${gpaText(step.gpa)}, page[${step.page}], source)`;
    case "block":
    case "unblock":
      return `TDH.MEM.RANGE.${step.kind.toUpperCase()}(td, ${gpaText(step.gpa)}, 0)`;
    case "remove":
      return `TDH.MEM.PAGE.REMOVE(td, ${gpaText(step.gpa)}, 0)`;
    case "read":
      return `TDH.MEM.SEPT.RD(td, ${gpaText(step.gpa)}, 0)`;
    case "blockTable":
      return "TDH.MEM.RANGE.BLOCK(td, 0, 1)";
    case "unblockTable":
      return "TDH.MEM.RANGE.UNBLOCK(td, 0, 1)";
    case "removeTable":
      return "TDH.MEM.SEPT.REMOVE(td, 0, 1)";
    case "extend":
      return `TDH.MR.EXTEND(td, ${gpaText(step.gpa)})`;
    case "addTable":
      return `TDH.MEM.SEPT.ADD(td, 0, 1, page[${step.page}])`;
    case "track":
      return "TDH.MEM.TRACK(td)";
    case "finalize":
      return "TDH.MR.FINALIZE(td)";
    case "enter":
      return `TDH.VP.ENTER(vcpu${step.vcpu})`;
    case "kick":
      return `kick(vcpu${step.vcpu})`;
    case "load":
      return `vcpu${step.vcpu}: load(${gpaText(step.gpa)})`;
    case "store":
      return `vcpu${step.vcpu}: store(${gpaText(step.gpa)}, 0x99)`;
    case "accept":
      return `vcpu${step.vcpu}: TDG.MEM.PAGE.ACCEPT(${gpaText(step.gpa)}, 0)`;
  }
}

type Leaf = "FREE" | "MAPPED" | "BLOCKED" | "PENDING" | "PENDING_BLOCKED";
const PUBLIC: Readonly<Record<Leaf, number>> = { FREE: 0, BLOCKED: 1, PENDING: 2, PENDING_BLOCKED: 3, MAPPED: 4 };

interface Vcpu {
  inside: boolean;
  stays: boolean;
  epoch: number;
  readonly tlb: Map<number, number>;
}

const SUCCESS = "TDX_SUCCESS";
const WALK_FAILED = "TDX_EPT_WALK_FAILED/RCX";
const STATE = "TDX_EPT_ENTRY_STATE_INCORRECT/RCX";

export class Oracle {
  /** By guest page: state, and the page behind it. */
  readonly #leaves = new Map<number, { is: Leaf; page: number }>();
  #table: "FREE" | "MAPPED" | "BLOCKED" = "MAPPED";
  #tablePage = -1;
  /** Pages that the TD has, with the epoch of their block; -1 is the table that was there first. */
  readonly #given = new Map<number, number>([[-1, 0]]);
  /** By page: what its bytes are. */
  readonly #content = new Map<number, number>();
  #epoch = 1;
  readonly #refcount = [0, 0];
  #runnable = false;
  readonly #vcpus: readonly Vcpu[] = [0, 1].map(() => ({ inside: false, stays: false, epoch: 0, tlb: new Map() }));

  answer(step: Step): string {
    switch (step.kind) {
      case "enter":
        return this.#enter(this.#vcpus[step.vcpu], true);
      case "kick":
        this.#exit(this.#vcpus[step.vcpu]);
        return "0";
      case "load":
      case "store":
      case "accept":
        return this.#guest(step.kind, this.#vcpus[step.vcpu], step.gpa);
      case "track":
        return this.#track();
      case "finalize":
        return this.#exclusive("RCX") ?? this.#build() ?? this.#finalize();
      case "add":
        return this.#exclusive("RDX") ?? this.#build() ?? this.#add(step.gpa, step.page);
      case "extend":
        return this.#exclusive("RDX") ?? this.#build() ?? this.#extend(step.gpa);
      case "addTable":
        return this.#addTable(step.page);
      case "removeTable":
        return this.#removeTable();
      case "blockTable":
      case "unblockTable":
        return this.#turnTable(step.kind === "blockTable");
      default:
        return this.#table === "MAPPED" ? this.#onLeaf(step) : WALK_FAILED;
    }
  }

  /** A vCPU inside holds the TDR shared. */
  #exclusive(register: string): string | undefined {
    return this.#vcpus.some((vcpu) => vcpu.inside) ? `TDX_OPERAND_BUSY/${register}` : undefined;
  }

  #build(): string | undefined {
    return this.#runnable ? "TDX_OP_STATE_INCORRECT" : undefined;
  }

  #finalize(): string {
    this.#runnable = true;
    return SUCCESS;
  }

  #leaf(gpa: number): { is: Leaf; page: number } {
    let leaf = this.#leaves.get(gpa);
    if (!leaf) this.#leaves.set(gpa, (leaf = { is: "FREE", page: -2 }));
    return leaf;
  }

  #give(page: number): string | undefined {
    if (this.#given.has(page)) return "TDX_PAGE_METADATA_INCORRECT/R8";
    this.#given.set(page, 0);
    return undefined;
  }

  #add(gpa: number, page: number): string {
    if (this.#table !== "MAPPED") return WALK_FAILED;
    const leaf = this.#leaf(gpa);
    if (leaf.is !== "FREE") return STATE;
    const refused = this.#give(page);
    if (refused) return refused;
    Object.assign(leaf, { is: "MAPPED", page });
    this.#content.set(page, 0x41);
    return SUCCESS;
  }

  #extend(gpa: number): string {
    return this.#table === "MAPPED" && this.#leaf(gpa).is === "MAPPED" ? SUCCESS : "TDX_EPT_ENTRY_NOT_PRESENT/RCX";
  }

  #tracked(page: number): boolean {
    const bepoch = this.#given.get(page) as number;
    return bepoch < this.#epoch - 1 || (bepoch === this.#epoch - 1 && this.#refcount[bepoch % 2] === 0);
  }

  /** Blocked and tracked, where the TD may be running. */
  #untracked(isBlocked: boolean, page: number): string | undefined {
    if (!this.#runnable) return undefined;
    if (!isBlocked) return "TDX_GPA_RANGE_NOT_BLOCKED/RCX";
    return this.#tracked(page) ? undefined : "TDX_TLB_TRACKING_NOT_DONE/RCX";
  }

  #onLeaf(step: Step & { readonly gpa: number }): string {
    const leaf = this.#leaf(step.gpa);
    const isBlocked = leaf.is === "BLOCKED" || leaf.is === "PENDING_BLOCKED";
    if (step.kind === "read") return SUCCESS;
    if (step.kind === "aug") {
      if (leaf.is !== "FREE") return STATE;
      const refused = this.#give(step.page);
      if (!refused) Object.assign(leaf, { is: "PENDING", page: step.page });
      return refused ?? SUCCESS;
    }
    if (step.kind === "block") {
      if (isBlocked) return "TDX_GPA_RANGE_ALREADY_BLOCKED/RCX";
      if (leaf.is === "FREE") return STATE;
      leaf.is = leaf.is === "MAPPED" ? "BLOCKED" : "PENDING_BLOCKED";
      this.#given.set(leaf.page, this.#epoch);
      return SUCCESS;
    }
    if (leaf.is === "FREE") return STATE;
    const plain = leaf.is === "MAPPED" || leaf.is === "BLOCKED" ? "MAPPED" : "PENDING";
    if (step.kind === "unblock") {
      if (!isBlocked) return STATE;
      if (this.#runnable && !this.#tracked(leaf.page)) return "TDX_TLB_TRACKING_NOT_DONE/SEPT_TREE";
      leaf.is = plain;
      return SUCCESS;
    }
    if (step.kind === "relocate" && step.page === leaf.page) return "TDX_OPERAND_INVALID/R8";
    const refused = this.#untracked(isBlocked, leaf.page) ?? (step.kind === "relocate" ? this.#give(step.page) : undefined);
    if (refused) return refused;
    this.#given.delete(leaf.page);
    if (step.kind === "relocate") {
      if (plain === "MAPPED") this.#content.set(step.page, this.#content.get(leaf.page) as number);
      Object.assign(leaf, { is: plain, page: step.page });
    } else Object.assign(leaf, { is: "FREE", page: -2 });
    return SUCCESS;
  }

  #addTable(page: number): string {
    if (this.#table !== "FREE") return STATE;
    const refused = this.#give(page);
    if (refused) return refused;
    this.#table = "MAPPED";
    this.#tablePage = page;
    return SUCCESS;
  }

  #turnTable(block: boolean): string {
    if (block) {
      if (this.#table !== "MAPPED") return this.#table === "FREE" ? STATE : "TDX_GPA_RANGE_ALREADY_BLOCKED/RCX";
      this.#table = "BLOCKED";
      this.#given.set(this.#tablePage, this.#epoch);
      return SUCCESS;
    }
    if (this.#table !== "BLOCKED") return STATE;
    if (this.#runnable && !this.#tracked(this.#tablePage)) return "TDX_TLB_TRACKING_NOT_DONE/SEPT_TREE";
    this.#table = "MAPPED";
    return SUCCESS;
  }

  #removeTable(): string {
    if (this.#table === "FREE") return STATE;
    const refused = this.#untracked(this.#table === "BLOCKED", this.#tablePage);
    if (refused) return refused;
    if ([...this.#leaves.values()].some((leaf) => leaf.is !== "FREE")) return "TDX_EPT_PAGE_NOT_FREE/RCX";
    this.#given.delete(this.#tablePage);
    this.#table = "FREE";
    return SUCCESS;
  }

  #track(): string {
    if (this.#refcount[1 - (this.#epoch % 2)] !== 0) return "TDX_PREVIOUS_TLB_EPOCH_BUSY";
    this.#epoch += 1;
    return SUCCESS;
  }

  #enter(vcpu: Vcpu, stays: boolean): string {
    if (!this.#runnable) return "TDX_OP_STATE_INCORRECT";
    if (vcpu.inside) return "TDX_VCPU_STATE_INCORRECT";
    if (vcpu.epoch !== this.#epoch) vcpu.tlb.clear();
    Object.assign(vcpu, { inside: true, stays, epoch: this.#epoch });
    this.#refcount[this.#epoch % 2] += 1;
    return SUCCESS;
  }

  #exit(vcpu: Vcpu): void {
    if (!vcpu.inside) return;
    vcpu.inside = false;
    this.#refcount[vcpu.epoch % 2] -= 1;
  }

  #violation(vcpu: Vcpu, gpa: number, eeq: number, more = ""): string {
    this.#exit(vcpu);
    return `exit EXIT_REASON_EPT_VIOLATION {gpa=${gpa === 0 ? "0" : gpaText(gpa)}, eeq=${eeq}${more}}`;
  }

  #guest(kind: "load" | "store" | "accept", vcpu: Vcpu, gpa: number): string {
    const refused = vcpu.inside ? SUCCESS : this.#enter(vcpu, false);
    if (refused !== SUCCESS) return refused;
    const answer = kind === "accept" ? this.#accept(vcpu, gpa) : this.#access(kind, vcpu, gpa);
    if (!vcpu.stays) this.#exit(vcpu);
    return answer;
  }

  #access(kind: "load" | "store", vcpu: Vcpu, gpa: number): string {
    const leaf = this.#leaf(gpa);
    let page = vcpu.tlb.get(gpa);
    if (page === undefined) {
      if (this.#table === "MAPPED" && leaf.is === "PENDING") return this.#violation(vcpu, gpa, 6);
      if (this.#table !== "MAPPED" || leaf.is !== "MAPPED") return this.#violation(vcpu, gpa, 0);
      page = leaf.page;
      vcpu.tlb.set(gpa, page);
    }
    if (kind === "load") return `0x${(this.#content.get(page) as number).toString(16).padStart(2, "0")}`;
    this.#content.set(page, 0x99);
    return "0";
  }

  #accept(vcpu: Vcpu, gpa: number): string {
    if (this.#table !== "MAPPED") return this.#violation(vcpu, gpa, 1, `, level=1, state=${this.#table === "FREE" ? "0" : "0x81"}`);
    const leaf = this.#leaf(gpa);
    if (leaf.is === "MAPPED") return "TDX_PAGE_ALREADY_ACCEPTED";
    if (leaf.is !== "PENDING") return this.#violation(vcpu, gpa, 1, `, level=0, state=${PUBLIC[leaf.is]}`);
    leaf.is = "MAPPED";
    this.#content.set(leaf.page, 0);
    return SUCCESS;
  }
}
