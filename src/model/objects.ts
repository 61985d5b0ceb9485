// The objects that a scenario can ever make, found from its calls before anything runs: each creating call makes at most one, so everything has a fixed
// place in the state.

import { asS64, asU64, pageUp } from "../base/units.ts";
import { childrenOf, parentOf, processOf } from "../scenario/processes.ts";
import type { ActorId, Call, CallId, HandleId, Operand, Program } from "../scenario/program.ts";

/** A call, or a way of calling, that the model has no source for. It ends up as a diagnostic on the call's line, never as a guess. */
export class NotModelled extends Error {
  override name = "NotModelled";
  readonly call: CallId;
  constructor(call: CallId, message: string) {
    super(message);
    this.call = call;
  }
}

/** The bit of a guest-physical address that asks for a shared access (`SHARED`). */
export const SHARED_BIT = 1n << 51n;

/** Files that are no memory, as far as calls on memory have an answer for them. */
export type SpecialFile = "pipe" | "null" | "directory" | "secret";

export interface FileObject {
  readonly index: number;
  /** `anon` backs a MAP_ANONYMOUS mapping: it has pages but no descriptor. */
  readonly kind: "memfd" | "anon" | "guest_memfd" | "special";
  readonly call: CallId;
  readonly name: string;
  readonly flags: bigint;
  /** Of a guest_memfd: the VM that alone can bind it, and its size. */
  readonly vm?: number;
  readonly size?: bigint;
  /** Made by memfd_restricted. */
  readonly restricted?: true;
  /** It is no memory. */
  readonly special?: SpecialFile;
  /** log2 of the page size of a hugetlbfs file. */
  readonly huge?: number;
}

/** struct file: what an open has made, with its offset and its access mode; descriptors of `dup` share it. */
export interface OpenObject {
  readonly index: number;
  readonly file: number;
  readonly call: CallId;
  /** O_ACCMODE, O_PATH and the like; O_RDWR for a file that is new. */
  readonly flags: bigint;
}

export interface MappingObject {
  readonly index: number;
  readonly call: CallId;
  readonly name: string;
  readonly file: number;
  /** First page of the file that it maps, and its length in pages. */
  readonly filePage: number;
  readonly pages: number;
  readonly prot: number;
  /** False for a MAP_PRIVATE mapping of a file, whose pages are copied on write. */
  readonly shared: boolean;
  /** The descriptor that it was made with cannot be written, so neither VM_SHARED nor VM_MAYWRITE is set. */
  readonly readOnly: boolean;
  /** Some mprotect names it. */
  readonly reprotected: boolean;
  /** Some madvise keeps it out of children. */
  readonly unforked?: true;
  /** Whose address space it is in. */
  readonly process: number;
  /** Of one that a fork has copied: the mapping that mmap made. */
  readonly root: number;
  /** Private anonymous memory of a process that forks: its pages belong to the mapping, and to its copies in children until somebody writes. */
  readonly anonymous?: true;
}

export interface VmObject {
  readonly index: number;
  readonly call: CallId;
  readonly name: string;
  /** KVM_X86_DEFAULT_VM and the like. */
  readonly type: bigint;
}

export interface VcpuObject {
  readonly index: number;
  readonly call: CallId;
  readonly name: string;
  readonly vm: number;
  readonly handle: HandleId;
}

/** One KVM_SET_USER_MEMORY_REGION call that makes or changes a slot. */
export interface SlotConfig {
  readonly index: number;
  readonly call: CallId;
  readonly vm: number;
  readonly id: number;
  readonly flags: number;
  readonly gfn: number;
  readonly pages: number;
  /** The host mapping behind userspace_addr and the page in it, where there is one. */
  readonly mapping?: number;
  readonly mappingPage: number;
  readonly userspaceAddress: bigint;
  /** The file behind private_fd and the first page bound. */
  readonly file?: number;
  readonly filePage: number;
  /** The file is a guest_memfd of this VM. */
  readonly guestMemfd: boolean;
  /** KVM_MEMSLOT_GMEM_ONLY: the file backs shared memory too. */
  readonly gmemOnly: boolean;
}

export interface Objects {
  readonly files: FileObject[];
  readonly opens: OpenObject[];
  readonly mappings: MappingObject[];
  readonly vms: VmObject[];
  readonly vcpus: VcpuObject[];
  readonly slots: SlotConfig[];
  /** alloc_frame() calls, and of how many pages. */
  readonly drivers: { readonly index: number; readonly call: CallId; readonly name: string; readonly pages: number }[];
  /** Object index by the call that makes it; for `dup` the file of its source. */
  readonly fileOf: Map<CallId, number>;
  /** The open file behind the descriptor that a call makes. */
  readonly openOf: Map<CallId, number>;
  readonly mappingOf: Map<CallId, number>;
  /** By process: of each mapping that it may have inherited, the copy. */
  readonly inherited: Map<number, ReadonlyMap<number, number>>;
  readonly vmOf: Map<CallId, number>;
  readonly vcpuOf: Map<CallId, number>;
  readonly slotOf: Map<CallId, number>;
  readonly driverOf: Map<CallId, number>;
}

export const KVM_MEM_READONLY = 2;
/** More vCPUs than anybody can explore the interleavings of. */
const MAX_VCPUS = 29;
/** Each copies what its parent has mapped. */
const MAX_PROCESSES = 30;
export const KVM_MEM_PRIVATE = 4;
export const MAP_PRIVATE = 2n;
export const MAP_TYPE = 0xfn;
export const MAP_ANONYMOUS = 0x20n;

/** The integer behind an operand; a missing optional one is 0. */
export function intOf(call: Call, id: CallId, index: number): bigint {
  const operand = call.operands[index];
  if (operand === undefined || operand.kind === "absent") return 0n;
  if (operand.kind === "int") return operand.value;
  throw new NotModelled(id, "an argument that is computed from a result is not modelled; write the number");
}

/** The handle of an operand, or undefined for an integer. */
export function handleOf(operand: Operand | undefined): HandleId | undefined {
  return operand?.kind === "handle" ? operand.handle : undefined;
}

export function findObjects(program: Program): Objects {
  const objects: Objects = {
    files: [],
    opens: [],
    mappings: [],
    vms: [],
    vcpus: [],
    slots: [],
    drivers: [],
    fileOf: new Map(),
    openOf: new Map(),
    mappingOf: new Map(),
    inherited: new Map(),
    vmOf: new Map(),
    vcpuOf: new Map(),
    slotOf: new Map(),
    driverOf: new Map(),
  };
  program.calls.forEach((call, id) => {
    if (!call.known) return;
    findObject(program, objects, call, id);
    findOpen(program, objects, call, id);
  });
  const last = program.processes?.[MAX_PROCESSES];
  if (last !== undefined) {
    const acts = program.calls.findIndex((call) => processOf(program, call.actor) >= MAX_PROCESSES);
    throw new NotModelled(last.call ?? Math.max(0, acts), `more than ${MAX_PROCESSES} processes are not modelled`);
  }
  for (const child of (program.processes ?? []).keys()) inheritMappings(program, objects, child);
  program.calls.forEach((call, id) => {
    if (call.known && call.spec.startsWith("KVM_SET_USER_MEMORY_REGION")) findSlot(program, objects, call, id);
  });
  return objects;
}

function findObject(program: Program, objects: Objects, call: Call, id: CallId): void {
  const name = call.binds === undefined ? `#${id}` : program.handles[call.binds].name;
  switch (call.spec) {
    case "memfd_create":
      objects.fileOf.set(id, objects.files.length);
      objects.files.push({ index: objects.files.length, kind: "memfd", call: id, name, ...memfdFlags(intOf(call, id, 1)) });
      break;
    case "memfd_restricted":
      objects.fileOf.set(id, objects.files.length);
      objects.files.push({ index: objects.files.length, kind: "memfd", call: id, name, flags: 0n, restricted: true });
      break;
    case "pipe2":
    case "open":
    case "memfd_secret": {
      const special = specialOf(call);
      if (special === undefined) break;
      objects.fileOf.set(id, objects.files.length);
      objects.files.push({ index: objects.files.length, kind: "special", call: id, name, flags: 0n, special });
      break;
    }
    case "open_fd":
    case "dup": {
      const file = fileOfOperand(program, objects, call.operands[0]);
      if (file !== undefined) objects.fileOf.set(id, file);
      const [vm, vcpu] = [objects.vmOf, objects.vcpuOf].map((of) => objectOfOperand(program, of, call.operands[0]));
      if (call.spec === "dup" && vm !== undefined) objects.vmOf.set(id, vm);
      if (call.spec === "dup" && vcpu !== undefined) objects.vcpuOf.set(id, vcpu);
      break;
    }
    case "mmap":
      findMapping(program, objects, call, id, name);
      break;
    case "KVM_CREATE_VM":
      objects.vmOf.set(id, objects.vms.length);
      objects.vms.push({ index: objects.vms.length, call: id, name, type: asU64(intOf(call, id, call.operands.length - 1)) });
      break;
    case "KVM_CREATE_VCPU": {
      const vm = objectOfOperand(program, objects.vmOf, call.operands[0]);
      if (vm === undefined || call.binds === undefined) break;
      if (objects.vcpus.length === MAX_VCPUS) throw new NotModelled(id, `more than ${MAX_VCPUS} vCPUs are not modelled`);
      objects.vcpuOf.set(id, objects.vcpus.length);
      objects.vcpus.push({ index: objects.vcpus.length, call: id, name, vm, handle: call.binds });
      break;
    }
    case "KVM_CREATE_GUEST_MEMFD": {
      const [size, flags] = [asS64(intOf(call, id, 1)), asU64(intOf(call, id, 2))];
      objects.fileOf.set(id, objects.files.length);
      const vm = objectOfOperand(program, objects.vmOf, call.operands[0]);
      objects.files.push({ index: objects.files.length, kind: "guest_memfd", call: id, name, flags, vm, size });
      break;
    }
    case "alloc_frame":
      objects.driverOf.set(id, objects.drivers.length);
      objects.drivers.push({ index: objects.drivers.length, call: id, name, pages: pagesOfFrame(call, id) });
      break;
  }
}

/** Pages of 4 KB in 2 MB. */
export const PAGES_OF_BLOCK = 512;

function pagesOfFrame(call: Call, id: CallId): number {
  const [size] = call.operands;
  if (size === undefined || size.kind === "absent") return 1;
  const pages = Number(asU64(intOf(call, id, 0)) >> 12n);
  if (intOf(call, id, 0) === 4096n || intOf(call, id, 0) === 4096n * BigInt(PAGES_OF_BLOCK)) return pages;
  throw new NotModelled(id, "alloc_frame gives a page of 4K or 2M at a boundary of that size; other sizes are not modelled");
}

function specialOf({ spec, operands: [path] }: Call): SpecialFile | undefined {
  if (spec !== "open") return spec === "pipe2" ? "pipe" : "secret";
  const text = path?.kind === "data" ? path.runs.map(({ byte, count }) => String.fromCharCode(byte).repeat(Number(count > 64n ? 64n : count))).join("") : "";
  return text === "/dev/null" ? "null" : text === "/" ? "directory" : undefined;
}

/** O_ACCMODE and the like of a new open file: the name of a pipe is its read end. */
function openFlags({ spec, operands }: Call, id: CallId): bigint {
  const call = { operands } as Call;
  if (spec === "open_fd" || spec === "open") return intOf(call, id, 1);
  return spec === "pipe2" ? intOf(call, id, 0) & ~O_ACCMODE : O_RDWR;
}

const MFD_HUGETLB = 4n;
/** All flags of any kernel, with the field of the huge page's size. */
const MFD_POSSIBLE = 0x1fn | (0x3fn << 26n);

/** MFD_HUGE_SHIFT; a size of 0 is the default one, 2 MiB. */
function memfdFlags(flags: bigint): Pick<FileObject, "flags" | "huge"> {
  return flags & MFD_HUGETLB && !(BigInt.asUintN(32, flags) & ~MFD_POSSIBLE) ? { flags, huge: Number((flags >> 26n) & 0x3fn) || 21 } : { flags };
}

const O_RDWR = 2n;
export const O_ACCMODE = 3n;
export const O_PATH = 0x200000n;

/** Each call that makes a descriptor makes an open file, but for `dup`. */
function findOpen(program: Program, objects: Objects, call: Call, id: CallId): void {
  const file = objects.fileOf.get(id);
  if (file === undefined) return;
  const source = call.spec === "dup" ? objectOfOperand(program, objects.openOf, call.operands[0]) : undefined;
  objects.openOf.set(id, source ?? objects.opens.length);
  if (source === undefined) objects.opens.push({ index: objects.opens.length, file, call: id, flags: openFlags(call, id) });
}

function findMapping(program: Program, objects: Objects, call: Call, id: CallId, name: string): void {
  const [length, prot, flags, offset] = [intOf(call, id, 1), intOf(call, id, 2), intOf(call, id, 3), intOf(call, id, 5)];
  let file: number | undefined;
  if (flags & MAP_ANONYMOUS) {
    file = objects.files.length;
    objects.files.push({ index: file, kind: "anon", call: id, name, flags: 0n });
  } else file = fileOfOperand(program, objects, call.operands[4]);
  if (file === undefined || length <= 0n || length > 1n << 46n) return;
  const open = flags & MAP_ANONYMOUS ? undefined : objects.opens[objectOfOperand(program, objects.openOf, call.operands[4]) ?? -1];
  const filePage = flags & MAP_ANONYMOUS ? 0 : Number(asU64(offset) >> 12n);
  const process = processOf(program, call.actor);
  // Without a fork nobody can tell private anonymous memory from shared.
  const anonymous = (flags & MAP_ANONYMOUS) !== 0n && (flags & MAP_TYPE) === MAP_PRIVATE && childrenOf(program, process).length > 0;
  objects.mappingOf.set(id, objects.mappings.length);
  objects.mappings.push({
    index: objects.mappings.length,
    call: id,
    name,
    file,
    filePage,
    pages: Number(pageUp(length) >> 12n),
    prot: Number(prot & 7n),
    shared: !anonymous && ((flags & MAP_ANONYMOUS) !== 0n || (flags & MAP_TYPE) !== MAP_PRIVATE),
    readOnly: open !== undefined && (open.flags & O_ACCMODE) === 0n,
    reprotected: program.calls.some((other) => other.spec === "mprotect" && call.binds !== undefined && handleOf(other.operands[0]) === call.binds),
    ...(isUnforked(program, call) ? { unforked: true } : {}),
    process,
    root: objects.mappings.length,
    ...(anonymous ? { anonymous: true } : {}),
  });
}

const MADV_DONTFORK = 10n;

/** With one process nobody sees it. */
const isUnforked = (program: Program, { binds }: Call): boolean =>
  program.processes !== undefined &&
  binds !== undefined &&
  program.calls.some(
    ({ spec, operands: [target, , advice] }) => spec === "madvise" && handleOf(target) === binds && advice?.kind === "int" && advice.value === MADV_DONTFORK,
  );

/** What the parent may have mapped when it forks: all mappings of its own and those that it has inherited. */
function inheritMappings(program: Program, objects: Objects, child: number): void {
  const parent = parentOf(program, child);
  if (parent === undefined) return;
  const copies = new Map<number, number>();
  for (const mapping of [...objects.mappings]) {
    if (mapping.process !== parent) continue;
    copies.set(mapping.root, objects.mappings.length);
    const name = `${objects.mappings[mapping.root].name} in ${program.processes?.[child].name}`;
    objects.mappings.push({ ...mapping, index: objects.mappings.length, name, process: child });
  }
  objects.inherited.set(child, copies);
}

function findSlot(program: Program, objects: Objects, call: Call, id: CallId): void {
  const vm = objectOfOperand(program, objects.vmOf, call.operands[0]);
  const size = asU64(intOf(call, id, 4));
  if (vm === undefined || size === 0n || size >> 12n > 0x7fffffffn) return;
  const flags = Number(asU64(intOf(call, id, 2)) & 0xffffffffn);
  const address = call.operands[5];
  const mapping = mappingOfOperand(program, objects, address, call.actor);
  const offset = address?.kind === "handle" ? address.offset : 0n;
  const isPrivate = (flags & KVM_MEM_PRIVATE) !== 0;
  const file = isPrivate ? objects.files[fileOfOperand(program, objects, call.operands[7]) ?? -1] : undefined;
  const guestMemfd = file?.kind === "guest_memfd" && file.vm === vm;
  objects.slotOf.set(id, objects.slots.length);
  objects.slots.push({
    index: objects.slots.length,
    call: id,
    vm,
    id: Number(asU64(intOf(call, id, 1)) & 0xffffffffn),
    flags,
    gfn: Number(asU64(intOf(call, id, 3)) >> 12n),
    pages: Number(size >> 12n),
    mapping: mapping !== undefined && offset >= 0n ? mapping : undefined,
    mappingPage: mapping === undefined ? 0 : Number(offset >> 12n),
    userspaceAddress: address?.kind === "int" ? address.value : 0n,
    file: file?.kind === "guest_memfd" && !guestMemfd ? undefined : file?.index,
    filePage: isPrivate ? Number(asU64(intOf(call, id, 6)) >> 12n) : 0,
    guestMemfd,
    gmemOnly: guestMemfd && (file.flags & 1n) !== 0n,
  });
}

/** The object that the call behind a bound name makes. */
export function objectOfOperand(program: Program, of: ReadonlyMap<CallId, number>, operand: Operand | undefined): number | undefined {
  const handle = handleOf(operand);
  return handle === undefined ? undefined : of.get(program.handles[handle].call);
}

/** The mapping behind a name in the address space of an actor. */
export function mappingOfOperand(program: Program, objects: Objects, operand: Operand | undefined, actor: ActorId): number | undefined {
  const root = objectOfOperand(program, objects.mappingOf, operand);
  if (root === undefined || program.processes === undefined) return root;
  const process = processOf(program, actor);
  return objects.mappings[root].process === process ? root : objects.inherited.get(process)?.get(root);
}

export function fileOfOperand(program: Program, objects: Objects, operand: Operand | undefined): number | undefined {
  return objectOfOperand(program, objects.fileOf, operand);
}
