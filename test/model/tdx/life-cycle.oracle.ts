// A TD's life once more, small and independent of the model: what each leaf answers and changes, with pages as numbers. Statuses and orders are those of
// the TDX module 1.5 (vmm_dispatcher/api_calls); one host thread, so that no lock is ever taken.

export type Page = number | "malformed" | "outside";

type Kind = "NDA" | "TDR" | "TDCX" | "TDVPR";
interface Frame {
  kind: Kind;
  owner: number;
}
interface Td {
  life: "assigned" | "configured" | "blocked" | "teardown";
  hkid: number;
  packages: Set<number>;
  controlPages: number;
  children: number;
  op: 0 | 1 | 2;
  vcpus: number;
  associated: number;
  most: number;
}
interface Vcpu {
  td: number;
  pages: number;
  ready: boolean;
  lp: number | undefined;
}

const LOWEST = 32;
const HIGHEST = 63;

export class Oracle {
  readonly packages: number;
  readonly frames: Frame[];
  readonly tds = new Map<number, Td>();
  readonly vcpus = new Map<number, Vcpu>();
  /** Packages still to write back, of key ids that are flushed; of those that are assigned, "assigned". */
  readonly keys = new Map<number, "assigned" | Set<number>>();

  constructor(frames: number, packages: number) {
    this.packages = packages;
    this.frames = Array.from({ length: frames }, () => ({ kind: "NDA", owner: -1 }));
  }

  private page(of: Page, kind: Kind, register: string, locked: readonly Page[] = []): string | undefined {
    if (of === "malformed") return `TDX_OPERAND_INVALID/${register}`;
    if (of === "outside") return `TDX_OPERAND_ADDR_RANGE_ERROR/${register}`;
    if (locked.includes(of)) return `TDX_OPERAND_BUSY/${register}`;
    return this.frames[of].kind === kind ? undefined : `TDX_PAGE_METADATA_INCORRECT/${register}`;
  }

  private give(page: Page, kind: Kind, owner: number): void {
    this.frames[page as number] = { kind, owner };
    const td = this.tds.get(owner);
    if (td) td.children++;
  }

  private live(td: Td, allowed: readonly number[]): string | undefined {
    if (td.life !== "configured") return "TDX_TD_KEYS_NOT_CONFIGURED";
    if (td.controlPages < 6) return "TDX_TDCS_NOT_ALLOCATED";
    return allowed.includes(td.op) ? undefined : "TDX_OP_STATE_INCORRECT";
  }

  create(page: Page, hkid: number): string {
    if (hkid < LOWEST || hkid > HIGHEST) return "TDX_OPERAND_INVALID/RDX";
    const wrong = this.page(page, "NDA", "RCX");
    if (wrong) return wrong;
    if (hkid === LOWEST || this.keys.has(hkid)) return "TDX_HKID_NOT_FREE";
    this.keys.set(hkid, "assigned");
    this.give(page, "TDR", -1);
    const td: Td = { life: "assigned", hkid, packages: new Set(), controlPages: 0, children: 0, op: 0, vcpus: 0, associated: 0, most: 0xffff };
    this.tds.set(page as number, td);
    return "TDX_SUCCESS";
  }

  private tdOf(page: Page, register: string): Td | string {
    return this.page(page, "TDR", register) ?? (this.tds.get(page as number) as Td);
  }

  configure(page: Page, at: number): string {
    const td = this.tdOf(page, "RCX");
    if (typeof td === "string") return td;
    if (td.life !== "assigned") return "TDX_LIFECYCLE_STATE_INCORRECT";
    if (td.packages.has(at)) return "TDX_KEY_CONFIGURED";
    td.packages.add(at);
    if (td.packages.size === this.packages) td.life = "configured";
    return "TDX_SUCCESS";
  }

  addControlPage(root: Page, page: Page): string {
    const td = this.tdOf(root, "RDX");
    if (typeof td === "string") return td;
    if (td.life !== "configured") return "TDX_TD_KEYS_NOT_CONFIGURED";
    if (td.controlPages === 9) return "TDX_TDCX_NUM_INCORRECT";
    const wrong = this.page(page, "NDA", "RCX", [root]);
    if (wrong) return wrong;
    if (td.controlPages >= 6 && td.op !== 0) return "TDX_OP_STATE_INCORRECT";
    td.controlPages++;
    this.give(page, "TDCX", root as number);
    return "TDX_SUCCESS";
  }

  init(root: Page, most: number): string {
    const td = this.tdOf(root, "RCX");
    if (typeof td === "string") return td;
    const dead = this.live(td, [0]);
    if (dead) return dead;
    if (most === 0) return "TDX_OPERAND_INVALID/MAX_VCPUS";
    td.op = 1;
    td.most = most;
    return "TDX_SUCCESS";
  }

  finalize(root: Page): string {
    const td = this.tdOf(root, "RCX");
    if (typeof td === "string") return td;
    const dead = this.live(td, [1]);
    if (dead) return dead;
    if (td.vcpus === 0) return "TDX_NO_VCPUS";
    td.op = 2;
    return "TDX_SUCCESS";
  }

  createVcpu(root: Page, page: Page): string {
    const td = this.tdOf(root, "RDX");
    if (typeof td === "string") return td;
    const wrong = this.live(td, [1]) ?? this.page(page, "NDA", "RCX", [root]);
    if (wrong) return wrong;
    this.give(page, "TDVPR", root as number);
    this.vcpus.set(page as number, { td: root as number, pages: 0, ready: false, lp: undefined });
    return "TDX_SUCCESS";
  }

  private vcpuOf(page: Page, register: string): { vcpu: Vcpu; td: Td } | string {
    const wrong = this.page(page, "TDVPR", register);
    if (wrong) return wrong;
    const vcpu = this.vcpus.get(page as number) as Vcpu;
    return { vcpu, td: this.tds.get(vcpu.td) as Td };
  }

  addVcpuPage(root: Page, page: Page): string {
    const found = this.vcpuOf(root, "RDX");
    if (typeof found === "string") return found;
    const { vcpu, td } = found;
    const dead = this.live(td, [1]);
    if (dead) return dead;
    if (vcpu.ready) return "TDX_VCPU_STATE_INCORRECT";
    if (vcpu.pages === 14) return "TDX_TDCX_NUM_INCORRECT";
    const wrong = this.page(page, "NDA", "RCX", [root, vcpu.td]);
    if (wrong) return wrong;
    vcpu.pages++;
    this.give(page, "TDCX", vcpu.td);
    return "TDX_SUCCESS";
  }

  initVcpu(root: Page, lp: number): string {
    const found = this.vcpuOf(root, "RCX");
    if (typeof found === "string") return found;
    const { vcpu, td } = found;
    const dead = this.live(td, [1]);
    if (dead) return dead;
    if (vcpu.pages < 5) return "TDX_TDCX_NUM_INCORRECT";
    if (vcpu.ready) return "TDX_VCPU_STATE_INCORRECT";
    if (td.vcpus >= td.most) return "TDX_MAX_VCPUS_EXCEEDED";
    td.vcpus++;
    td.associated++;
    vcpu.ready = true;
    vcpu.lp = lp;
    return "TDX_SUCCESS";
  }

  flush(root: Page, lp: number): string {
    const found = this.vcpuOf(root, "RCX");
    if (typeof found === "string") return found;
    const { vcpu, td } = found;
    if (td.life !== "configured") return "TDX_TD_KEYS_NOT_CONFIGURED";
    if (vcpu.pages < 5) return "TDX_TDCX_NUM_INCORRECT";
    if (vcpu.lp !== lp) return "TDX_VCPU_NOT_ASSOCIATED";
    vcpu.lp = undefined;
    td.associated--;
    return "TDX_SUCCESS";
  }

  flushDone(root: Page): string {
    const td = this.tdOf(root, "RCX");
    if (typeof td === "string") return td;
    if (td.life !== "assigned" && td.life !== "configured") return "TDX_LIFECYCLE_STATE_INCORRECT";
    if (td.op !== 0 && td.associated > 0) return "TDX_FLUSHVP_NOT_DONE";
    this.keys.set(td.hkid, new Set(Array.from({ length: this.packages }, (_, index) => index)));
    td.life = "blocked";
    return "TDX_SUCCESS";
  }

  writeBack(resume: number, at: number): string {
    if (resume > 1) return "TDX_OPERAND_INVALID/RCX";
    if (resume === 1) return "TDX_WBCACHE_RESUME_ERROR";
    const waiting = [...this.keys.values()].filter((key) => key !== "assigned");
    if (waiting.length === 0) return "TDX_NO_HKID_READY_TO_WBCACHE";
    for (const packages of waiting) packages.delete(at);
    return "TDX_SUCCESS";
  }

  freeKey(root: Page): string {
    const td = this.tdOf(root, "RCX");
    if (typeof td === "string") return td;
    if (td.life !== "blocked") return "TDX_LIFECYCLE_STATE_INCORRECT";
    if ((this.keys.get(td.hkid) as Set<number>).size > 0) return "TDX_WBCACHE_NOT_COMPLETE";
    this.keys.delete(td.hkid);
    td.life = "teardown";
    return "TDX_SUCCESS";
  }

  reclaim(page: Page): string {
    if (page === "malformed") return "TDX_OPERAND_INVALID/RCX";
    if (page === "outside") return "TDX_OPERAND_ADDR_RANGE_ERROR/RCX";
    const { kind, owner } = this.frames[page];
    if (kind === "NDA") return "TDX_PAGE_METADATA_INCORRECT/RCX";
    const root = kind === "TDR" ? page : owner;
    const td = this.tds.get(root) as Td;
    if (td.life !== "teardown") return "TDX_LIFECYCLE_STATE_INCORRECT";
    if (kind === "TDR" && td.children > 0) return "TDX_TD_ASSOCIATED_PAGES_EXIST";
    if (kind === "TDR") this.tds.delete(page);
    else td.children--;
    if (kind === "TDVPR") this.vcpus.delete(page);
    this.frames[page] = { kind: "NDA", owner: -1 };
    return "TDX_SUCCESS";
  }

  /** Answers of a page that is none of the module's, or is; nothing changes. */
  drop(page: Page, hkid: number): string {
    return hkid > HIGHEST ? "TDX_OPERAND_INVALID/RCX" : (this.page(page, "NDA", "RCX") ?? "TDX_SUCCESS");
  }
}
