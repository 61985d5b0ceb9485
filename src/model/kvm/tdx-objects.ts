// TDs behind VMs of KVM, found from the calls of a scenario before anything runs: the VM by its type, its vCPUs, the guest pages that KVM can come to map.

import { asU64 } from "../../base/units.ts";
import type { Call, CallId, Program } from "../../scenario/program.ts";
import { BYTES, type Cuts, vmSpace } from "../cells.ts";
import { intOf, type Objects, objectOfOperand, SHARED_BIT } from "../objects.ts";
import type { Profile } from "../profile/types.ts";
import { cutLine } from "../tdx/cuts.ts";
import { HIGHEST_GPA, SHARED_BIT_48, type TdxObjects } from "../tdx/objects.ts";
import { GLOBAL_HKID, LEVEL, PRIVATE_HKIDS, TDCS_PAGES, TDVPS_TDCX } from "../tdx/tables.ts";
import type { KvmTdExtras } from "./tdx-state.ts";

export const KVM_X86_TDX_VM = 5n;
const GPAW_48 = 48n;
export const MAP_GPA = "TDG.VP.VMCALL.MAPGPA";
/** TDX_MAP_GPA_MAX_LEN: bytes that go to user space with one exit. */
export const MAP_GPA_MAX_LENGTH = 2n << 20n;
/** Exits that one MapGPA may take here. */
export const MAP_GPA_MAX_PARTS = 64;
/** Pages of a range that are told apart, as in cuts.ts. */
export const PAGES_APART = 64;

export const isTdVm = (objects: Objects, vm: number | undefined): boolean => vm !== undefined && objects.vms[vm]?.type === KVM_X86_TDX_VM;

const intAt = (call: Call, index: number): bigint | undefined => {
  const operand = call.operands[index];
  return operand?.kind === "int" ? asU64(operand.value) : undefined;
};

/** Calls of KVM_TDX_INIT_VM on a VM. */
export const initsOf = (program: Program, objects: Objects, vm: number): CallId[] =>
  program.calls.flatMap((call, id) => (call.spec === "KVM_TDX_INIT_VM" && objectOfOperand(program, objects.vmOf, call.operands[0]) === vm ? [id] : []));

/** The guest address width that a KVM_TDX_INIT_VM asks for, 52 where it is left out. */
export const guestBitsOf = (call: Call): bigint => intAt(call, 2) ?? 52n;

/** The shared bit of a VM: bit 51, but bit 47 of a TD that is initialised with an address width of 48 bits. */
export function sharedBitOf(program: Program, objects: Objects, vm: number): bigint {
  if (!isTdVm(objects, vm)) return SHARED_BIT;
  const inits = initsOf(program, objects, vm);
  return inits.length > 0 && inits.every((id) => guestBitsOf(program.calls[id]) === GPAW_48) ? SHARED_BIT_48 : SHARED_BIT;
}

/** Which parameters of a call are a range of guest pages: the address, and its size in bytes or pages. */
const RANGES: Readonly<Record<string, { readonly gpa: number; readonly size?: number; readonly pages?: number }>> = {
  "guest.load": { gpa: 0 },
  "guest.store": { gpa: 0 },
  "TDG.MEM.PAGE.ACCEPT": { gpa: 0 },
  "TDG.MEM.PAGE.ATTR.RD": { gpa: 0 },
  "TDG.MEM.PAGE.ATTR.WR": { gpa: 0 },
  KVM_TDX_INIT_MEM_REGION: { gpa: 2, pages: 3 },
  KVM_PRE_FAULT_MEMORY: { gpa: 1, size: 2 },
};

/** The vCPU that a guest call runs on, or that an ioctl names. */
function vcpuOf(program: Program, objects: Objects, call: Call): number | undefined {
  const { handle } = program.actors[call.actor];
  const own = objects.vcpus.find((vcpu) => vcpu.handle === handle);
  return call.spec.startsWith("KVM_") && call.spec !== "KVM_RUN" ? objectOfOperand(program, objects.vcpuOf, call.operands[0]) : own?.index;
}

/** How many pages of a region KVM_TDX_INIT_MEM_REGION comes to: the first one behind every slot ends it, however many it was asked for. */
export function regionPages(objects: Objects, vm: number, gpa: bigint, pages: bigint): bigint {
  const ends = objects.slots.filter((slot) => slot.vm === vm).map((slot) => BigInt(slot.gfn + slot.pages));
  const end = ends.reduce((a, b) => (a > b ? a : b), 0n);
  const first = gpa >> 12n;
  const most = end > first ? end - first + 1n : 1n;
  return pages < most ? pages : most;
}

/** gfns of a VM that faults, pre-faults and initial regions can map: pages of a TD that are told apart. */
function pagesOf(program: Program, objects: Objects, call: Call, vm: number): number[] {
  const range = RANGES[call.spec];
  const gpa = range && intAt(call, range.gpa);
  if (!range || gpa === undefined) return [];
  const bytes = range.size === undefined ? undefined : intAt(call, range.size);
  const pages = range.pages === undefined ? (bytes === undefined ? 1n : bytes >> 12n) : regionPages(objects, vm, gpa, intAt(call, range.pages) ?? 0n);
  if (pages > BigInt(PAGES_APART)) return [];
  const first = Number((gpa & ~sharedBitOf(program, objects, vm) & ~SHARED_BIT & HIGHEST_GPA) >> 12n);
  return Array.from({ length: Number(pages) }, (_, page) => first + page);
}

/**
 * Adds the TDs of KVM to those that the scenario drives itself, and takes key ids away that the machine does not have; undefined where it has neither. All
 * calls of KVM_TDX_INIT_VM on one VM make the same TD: at most one of them can succeed at a time.
 */
export function addKvmTds(program: Program, objects: Objects, direct: TdxObjects | undefined): TdxObjects | undefined {
  const vms = objects.vms.filter((vm) => isTdVm(objects, vm.index));
  const end = PRIVATE_HKIDS.first + Number(program.machine?.keyids ?? PRIVATE_HKIDS.count);
  direct?.hkids.splice(0, direct.hkids.length, ...direct.hkids.filter((hkid) => hkid < end));
  if (vms.length === 0) return direct;
  const found: TdxObjects = direct ?? { tds: [], vcpus: [], tdOf: new Map(), vcpuOf: new Map(), hkids: [], gfns: new Set(), touched: [] };
  let builds = 0;
  for (const vm of vms) {
    const inits = initsOf(program, objects, vm.index);
    builds += inits.length;
    for (const id of [vm.call, ...inits]) found.tdOf.set(id, found.tds.length);
    found.tds.push({ index: found.tds.length, call: vm.call, name: vm.name, vm: vm.index });
  }
  for (const vcpu of objects.vcpus) {
    if (!isTdVm(objects, vcpu.vm)) continue;
    const inits = program.calls.flatMap((call, id) =>
      call.spec === "KVM_TDX_INIT_VCPU" && objectOfOperand(program, objects.vcpuOf, call.operands[0]) === vcpu.index ? [id] : [],
    );
    for (const id of [vcpu.call, ...inits]) found.vcpuOf.set(id, found.vcpus.length);
    found.vcpus.push({ index: found.vcpus.length, call: vcpu.call, name: vcpu.name, handle: vcpu.handle, vcpu: vcpu.index });
    found.touched.push(new Set());
  }
  // tdx_guest_keyid_alloc takes the lowest one; one that a failed teardown leaks is not taken again.
  for (let hkid = GLOBAL_HKID + 1; builds > 0 && hkid < end; hkid++) {
    if (!found.hkids.includes(hkid)) found.hkids.push(hkid);
    builds -= 1;
  }
  for (const call of program.calls) addPages(program, objects, found, call);
  return found;
}

function addPages(program: Program, objects: Objects, found: TdxObjects, call: Call): void {
  const vcpu = call.known ? vcpuOf(program, objects, call) : undefined;
  const vm = vcpu === undefined ? undefined : objects.vcpus[vcpu].vm;
  if (vm === undefined || !isTdVm(objects, vm)) return;
  const own = found.vcpus.find((one) => one.vcpu === vcpu);
  const touches = !call.spec.startsWith("KVM_");
  for (const gfn of pagesOf(program, objects, call, vm)) {
    found.gfns.add(gfn);
    if (touches && own) found.touched[own.index].add(gfn);
  }
}

/** Frames that KVM gives to the module beside guest memory: control pages of each TD and vCPU, and tables of its secure EPT. */
export function controlFrames(found: TdxObjects | undefined): number {
  if (!found) return 0;
  const tds = found.tds.filter((td) => td.vm !== undefined).length;
  const vcpus = found.vcpus.filter((vcpu) => vcpu.vcpu !== undefined).length;
  return tds * (1 + TDCS_PAGES.min + tablesOf(found)) + vcpus * (1 + TDVPS_TDCX.min);
}

function tablesOf(found: TdxObjects): number {
  let tables = 0;
  for (let level: number = LEVEL.PD; level <= LEVEL.PML5; level++) tables += new Set([...found.gfns].map((gfn) => Math.floor(gfn / 512 ** level))).size;
  return tables;
}

/** What calls on a TD name: pages of their own, whole lines where its guest touches a byte, and ranges that it wants converted. */
export function addTdCuts(cuts: Cuts, program: Program, objects: Objects): void {
  for (const call of program.calls) {
    const vcpu = call.known ? vcpuOf(program, objects, call) : undefined;
    const vm = vcpu === undefined ? undefined : objects.vcpus[vcpu].vm;
    if (vm === undefined || !isTdVm(objects, vm)) continue;
    const space = vmSpace(vm);
    for (const gfn of pagesOf(program, objects, call, vm)) cuts.page(space, gfn);
    const gpa = intAt(call, 0);
    if (gpa !== undefined && call.spec.startsWith("guest.")) {
      cuts.cut(BYTES, Number(gpa & 4095n));
      cuts.cut(BYTES, Number(gpa & 4095n) + 1);
      cutLine(cuts, Number(gpa & 4095n));
    }
  }
}

/** What a scenario and its kernel have of the state of TDs that others do without. */
export function kvmTdExtras(program: Program, objects: Objects, { operations, features }: Profile): KvmTdExtras {
  const called = (...specs: readonly string[]) => program.calls.filter((call) => call.known && specs.includes(call.spec));
  const calls = called(MAP_GPA);
  const parts = calls.map(({ operands: [, size] }) => (size?.kind === "int" ? Number((asU64(size.value) + MAP_GPA_MAX_LENGTH - 1n) / MAP_GPA_MAX_LENGTH) : 1));
  const ids = called("KVM_CREATE_VCPU").map((call, at) => `${objectOfOperand(program, objects.vmOf, call.operands[0])} ${intOf(call, at, 1)}`);
  return {
    hypercalls: calls.length,
    parts: Math.min(MAP_GPA_MAX_PARTS, Math.max(1, ...parts)),
    guarded: Object.values(operations).some((list) => list.includes("lock_vcpus")),
    terminates: called("KVM_TDX_TERMINATE_VM").length > 0 && features.td_terminate !== "absent",
    irqchips: new Set(called("KVM_CREATE_IRQCHIP", "KVM_ENABLE_CAP").map((call) => objectOfOperand(program, objects.vmOf, call.operands[0]) ?? -1)),
    listed: features.td_failed_vcpu === "stays_listed" && new Set(ids).size < ids.length,
    staleRet: features.td_hypercall_ret === "as_left" && calls.length > 0,
  };
}
