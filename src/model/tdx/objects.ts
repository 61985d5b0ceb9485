// What of the TDX module a scenario can ever make or name, found from its calls before anything runs: TDs, their vCPUs, key ids, and the guest pages whose
// secure EPT entries the state holds.

import { asU64 } from "../../base/units.ts";
import type { Call, CallId, HandleId, Operand, Program } from "../../scenario/program.ts";
import { SHARED_BIT } from "../objects.ts";

/** A TD by the call that makes its root page one: TDH.MNG.CREATE, or the VM that KVM builds one for. */
export interface TdObject {
  readonly index: number;
  readonly call: CallId;
  readonly name: string;
  /** Of a TD that is driven directly: the page that becomes its TDR. */
  readonly page?: Operand;
  /** Of a TD behind a VM of KVM: the index of the VM. */
  readonly vm?: number;
}

export interface TdVcpuObject {
  readonly index: number;
  readonly call: CallId;
  readonly name: string;
  /** The handle that names its actor. */
  readonly handle?: HandleId;
  /** Of a vCPU that is driven directly: the page that becomes its TDVPR. */
  readonly page?: Operand;
  /** Of a vCPU of KVM: its index there. */
  readonly vcpu?: number;
}

export interface TdxObjects {
  readonly tds: TdObject[];
  readonly vcpus: TdVcpuObject[];
  readonly tdOf: Map<CallId, number>;
  readonly vcpuOf: Map<CallId, number>;
  /** Private key ids that the scenario names. */
  readonly hkids: number[];
  /** Guest pages (4 KB) that calls and accesses name, without the shared bit. */
  readonly gfns: Set<number>;
  /** By vCPU: the pages that its own accesses touch. */
  readonly touched: Set<number>[];
}

const CREATE_TD = "TDH.MNG.CREATE";
const CREATE_TD_VCPU = "TDH.VP.CREATE";
/** The shared bit of a TD with a 48-bit guest address width; with 52 bits it is that of `SHARED`. */
export const SHARED_BIT_48 = 1n << 47n;

/** Leaves of the host by name, of the guest, and guest accesses. */
const isLeaf = (call: Call): boolean => call.spec.startsWith("TDH.");

/** Undefined for a scenario without TDX, which then costs nothing. */
export function findTdx(program: Program): TdxObjects | undefined {
  if (!program.calls.some((call) => call.known && isLeaf(call))) return undefined;
  const found: TdxObjects = { tds: [], vcpus: [], tdOf: new Map(), vcpuOf: new Map(), hkids: [], gfns: new Set(), touched: [] };
  program.calls.forEach((call, id) => void (call.known && findOne(program, found, call, id)));
  program.calls.forEach((call) => void (call.known && findPages(program, found, call)));
  return found;
}

function findOne(program: Program, found: TdxObjects, call: Call, id: CallId): void {
  const name = call.binds === undefined ? `#${id}` : program.handles[call.binds].name;
  if (call.spec === CREATE_TD) {
    found.tdOf.set(id, found.tds.length);
    found.tds.push({ index: found.tds.length, call: id, name, page: call.operands[0] });
    const hkid = call.operands[1];
    if (hkid?.kind === "int" && !found.hkids.includes(Number(hkid.value))) found.hkids.push(Number(hkid.value));
  } else if (call.spec === CREATE_TD_VCPU) {
    found.vcpuOf.set(id, found.vcpus.length);
    found.vcpus.push({ index: found.vcpus.length, call: id, name, handle: call.binds, page: call.operands[1] });
    found.touched.push(new Set());
  }
}

/** The widest guest physical address that there is, all bits set: MAX_PA of the module is 52. */
export const HIGHEST_GPA = (1n << 52n) - 1n;

/** The page of a guest physical address, whichever shared bit it has. */
export const gfnOf = (gpa: bigint): number => Number((asU64(gpa) & ~SHARED_BIT & ~SHARED_BIT_48 & HIGHEST_GPA) >> 12n);

/** The parameter of each leaf that is a guest physical address. */
const GPA_PARAM: Readonly<Record<string, number>> = {
  "TDH.MEM.SEPT.ADD": 1,
  "TDH.MEM.SEPT.REMOVE": 1,
  "TDH.MEM.SEPT.RD": 1,
  "TDH.MEM.PAGE.ADD": 1,
  "TDH.MEM.PAGE.AUG": 1,
  "TDH.MEM.PAGE.REMOVE": 1,
  "TDH.MEM.PAGE.RELOCATE": 1,
  "TDH.MEM.PAGE.PROMOTE": 1,
  "TDH.MEM.PAGE.DEMOTE": 1,
  "TDH.MEM.RANGE.BLOCK": 1,
  "TDH.MEM.RANGE.UNBLOCK": 1,
  "TDH.MR.EXTEND": 1,
  "TDG.MEM.PAGE.ACCEPT": 0,
  "TDG.MEM.PAGE.ATTR.RD": 0,
  "TDG.MEM.PAGE.ATTR.WR": 0,
  "guest.load": 0,
  "guest.store": 0,
};

/** The vCPU of a TD that an actor is; undefined for host threads and for vCPUs of other VMs. */
export function tdVcpuOfActor(program: Program, found: TdxObjects, actor: number): TdVcpuObject | undefined {
  const { handle } = program.actors[actor];
  return handle === undefined ? undefined : found.vcpus.find((vcpu) => vcpu.handle === handle);
}

function findPages(program: Program, found: TdxObjects, call: Call): void {
  const param = GPA_PARAM[call.spec];
  const gpa = param === undefined ? undefined : call.operands[param];
  if (gpa?.kind !== "int") return;
  const vcpu = tdVcpuOfActor(program, found, call.actor);
  if (!vcpu && !isLeaf(call)) return;
  found.gfns.add(gfnOf(gpa.value));
  // In a TD with an address width of 52 bits, bit 47 is one of the address.
  const raw = asU64(gpa.value);
  const high = (raw & SHARED_BIT_48) !== 0n && raw < SHARED_BIT ? [Number(raw >> 12n)] : [];
  for (const gfn of high) found.gfns.add(gfn);
  if (vcpu) for (const gfn of [gfnOf(gpa.value), ...high]) found.touched[vcpu.index].add(gfn);
}
