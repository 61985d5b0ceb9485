// Every boundary that the text of a scenario mentions: page boundaries of files, guest-physical spaces and mappings, and byte offsets inside a page.

import { asS64, asU64, isPageAligned, pageUp } from "../base/units.ts";
import type { Call, Operand, Program } from "../scenario/program.ts";
import { BYTES, type Cuts, fileSpace, mapSpace, vmSpace } from "./cells.ts";
import { fileOfOperand, mappingOfOperand, type Objects, objectOfOperand, SHARED_BIT } from "./objects.ts";
import { addTdxCuts } from "./tdx/cuts.ts";

/** Ranges above this are not cut page by page, so their pages cannot be told apart. */
const PAGES_APART = 64;

export function addCuts(cuts: Cuts, program: Program, objects: Objects, extra: readonly { space: string; at: number }[]): void {
  cuts.cut(BYTES, 0);
  cuts.cut(BYTES, 4096);
  for (const mapping of objects.mappings) {
    cuts.link(mapSpace(mapping.index), 0, fileSpace(mapping.file), mapping.filePage, mapping.pages);
  }
  for (const slot of objects.slots) {
    cuts.cut(vmSpace(slot.vm), slot.gfn);
    cuts.cut(vmSpace(slot.vm), slot.gfn + slot.pages);
    if (slot.file !== undefined) cuts.link(vmSpace(slot.vm), slot.gfn, fileSpace(slot.file), slot.filePage, slot.pages);
    if (slot.mapping !== undefined) cuts.link(vmSpace(slot.vm), slot.gfn, mapSpace(slot.mapping), slot.mappingPage, slot.pages);
  }
  for (const call of program.calls) addCallCuts(cuts, program, objects, call);
  addTdxCuts(cuts, program);
  for (const cut of extra) cuts.cut(cut.space, cut.at);
}

function addCallCuts(cuts: Cuts, program: Program, objects: Objects, call: Call): void {
  const int = (index: number): bigint => numberOf(call.operands[index]);
  const file = (): string | undefined => named(fileSpace, fileOfOperand(program, objects, call.operands[0]));
  const vm = (): string | undefined => named(vmSpace, objectOfOperand(program, objects.vmOf, call.operands[0]));
  const huge = objects.files[fileOfOperand(program, objects, call.operands[0]) ?? -1]?.huge;
  const unit = (): bigint => 1n << BigInt(huge ?? 12);
  if (huge !== undefined && TRANSFERS.has(call.spec)) return;
  if (MOVES.has(call.spec)) return addMoveCuts(cuts, program, objects, call);
  switch (call.spec) {
    case "ftruncate":
      return cutRange(cuts, file(), int(1), int(1), unit());
    case "fallocate":
      return cutRange(cuts, file(), int(2), int(2) + int(3), unit());
    case "pread":
    case "pwrite": {
      const length = call.operands[1]?.kind === "data" ? call.operands[1].length : int(1);
      cutRange(cuts, file(), int(2), int(2) + length);
      cutPages(cuts, file(), int(2), int(2) + length);
      return cutRuns(cuts, call.operands[1], int(2));
    }
    case "read":
    case "write": {
      const length = call.operands[1]?.kind === "data" ? call.operands[1].length : int(1);
      cutRange(cuts, file(), 0n, length);
      cutPages(cuts, file(), 0n, length);
      return cutRuns(cuts, call.operands[1], 0n);
    }
    case "migrate":
    case "poison":
    case "reclaim": {
      const target = call.operands[0];
      const index = target?.kind === "frame" ? objects.fileOf.get(program.handles[target.handle].call) : undefined;
      if (index !== undefined && target?.kind === "frame" && target.offset >= 0n) cuts.page(fileSpace(index), page(target.offset));
      return;
    }
    case "mprotect":
    case "madvise":
    case "munmap": {
      const target = call.operands[0];
      const from = target?.kind === "handle" ? target.offset : 0n;
      return cutRange(cuts, named(mapSpace, mappingOfOperand(program, objects, target, call.actor)), from, pageUp(from + int(1)));
    }
    case "host.load":
    case "host.store": {
      const target = call.operands[0];
      const at = int(1) + (target?.kind === "handle" ? target.offset : 0n);
      return cutByte(cuts, named(mapSpace, mappingOfOperand(program, objects, target, call.actor)), at);
    }
    case "guest.load":
    case "guest.store": {
      const handle = program.actors[call.actor].handle;
      const vcpu = objects.vcpus.find((candidate) => candidate.handle === handle);
      if (vcpu) cutByte(cuts, vmSpace(vcpu.vm), asU64(int(0)) & ~SHARED_BIT);
      return;
    }
    case "KVM_CREATE_GUEST_MEMFD": {
      const of = call.known ? objects.files.find((one) => one.kind === "guest_memfd" && program.calls[one.call] === call) : undefined;
      return cutRange(cuts, named(fileSpace, of?.index), 0n, asS64(int(1)));
    }
    case "KVM_PRE_FAULT_MEMORY": {
      const vcpu = objects.vcpus[objectOfOperand(program, objects.vcpuOf, call.operands[0]) ?? -1];
      return cutPages(cuts, named(vmSpace, vcpu?.vm), asU64(int(1)), asU64(int(1)) + asU64(int(2)));
    }
    case "KVM_MEMORY_ENCRYPT_REG_REGION":
    case "KVM_MEMORY_ENCRYPT_UNREG_REGION":
    case "KVM_SET_MEMORY_ATTRIBUTES":
      return cutRange(cuts, vm(), asU64(int(1)), asU64(int(1)) + asU64(int(2)));
  }
}

/** Calls that move data between descriptors, or that look at pages of a mapping. */
const MOVES: ReadonlySet<string> = new Set(["splice", "sendfile", "copy_file_range", "vmsplice", "mincore"]);

function addMoveCuts(cuts: Cuts, program: Program, objects: Objects, call: Call): void {
  if (call.spec !== "vmsplice" && call.spec !== "mincore") return cutCopy(cuts, program, objects, call);
  const at = call.spec === "mincore" ? 0 : 1;
  const target = call.operands[at];
  const from = target?.kind === "handle" ? target.offset : 0n;
  const length = numberOf(call.operands[at + 1]);
  const space = named(mapSpace, mappingOfOperand(program, objects, target, call.actor));
  if (from >= 0n && length >= 0n && length <= BigInt(PAGES_APART) << 12n) cutRange(cuts, space, from, from + length);
}

/** Offsets of both sides that are written down; where a file's own offset counts, pages are cut out when the run comes to them. */
function cutCopy(cuts: Cuts, program: Program, objects: Objects, { spec, operands }: Call): void {
  const sides =
    spec === "sendfile"
      ? [[1, 2]]
      : spec === "splice"
        ? [[0, 1]]
        : [
            [0, 1],
            [2, 3],
          ];
  const length = numberOf(operands[spec === "sendfile" ? 3 : 4]);
  for (const [fd, at] of sides) {
    const offset = operands[at];
    if (offset?.kind !== "int" || length < 0n || length > BigInt(PAGES_APART) << 12n) continue;
    const space = named(fileSpace, fileOfOperand(program, objects, operands[fd]));
    cutRange(cuts, space, offset.value, offset.value + length);
    cutPages(cuts, space, offset.value, offset.value + length);
  }
}

/** What reads or writes a hugetlbfs file sees zeroes, so nothing is cut for it. */
const TRANSFERS: ReadonlySet<string> = new Set(["read", "write", "pread", "pwrite"]);

const numberOf = (operand: Operand | undefined): bigint => (operand?.kind === "int" ? operand.value : 0n);
const named = (space: (index: number) => string, index: number | undefined): string | undefined => (index === undefined ? undefined : space(index));
const page = (bytes: bigint): number => Number(bytes >> 12n);

/** Page boundaries around a byte range, and its ends inside their pages; `unit`: the size of the pages. */
function cutRange(cuts: Cuts, space: string | undefined, from: bigint, to: bigint, unit = 4096n): void {
  if (space === undefined || from < 0n || to < from || to >= 1n << 63n) return;
  for (const at of [from, to]) {
    const down = at - (at % unit);
    cuts.cut(space, page(down));
    cuts.cut(space, page(down === at ? at : down + unit));
    if (!isPageAligned(at)) cuts.cut(BYTES, Number(at & 4095n));
  }
}

/** Bytes that are read or written one by one need pages of their own. */
function cutPages(cuts: Cuts, space: string | undefined, from: bigint, to: bigint): void {
  if (space === undefined || from < 0n || to <= from || to - from > BigInt(PAGES_APART) * 4096n) return;
  for (let at = page(from); at < page(pageUp(to)); at++) cuts.page(space, at);
}

function cutRuns(cuts: Cuts, data: Operand | undefined, offset: bigint): void {
  if (data?.kind !== "data" || offset < 0n) return;
  let at = offset;
  for (const run of data.runs) {
    cuts.cut(BYTES, Number(at & 4095n));
    at += run.count;
  }
  if (!isPageAligned(at)) cuts.cut(BYTES, Number(at & 4095n));
}

function cutByte(cuts: Cuts, space: string | undefined, at: bigint): void {
  if (space === undefined || at < 0n) return;
  cuts.page(space, page(at));
  const byte = Number(at & 4095n);
  cuts.cut(BYTES, byte);
  cuts.cut(BYTES, byte + 1);
}
