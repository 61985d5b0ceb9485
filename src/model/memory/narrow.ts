// What the steps of file and mapping calls touch in a given state, where that is less than they declare; and the locks that they need.

import type { Field, Region } from "../layout.ts";
import type { CompiledOperation, Context, Machine, Plan, Shape } from "../machine.ts";
import { isMadeInaccessible } from "./file.ts";
import { type FileState, fileCellOf, permits, protOf } from "./state.ts";

/** A private mapping's copy on write replaces a PTE, and tells secondary MMUs (mmu notifier). */
export const COPY_ON_WRITE: { readonly reads: readonly Region[]; readonly writes: readonly Region[] } = {
  reads: ["slot", "ept", "faults"],
  writes: ["ept", "tlb", "faults", "free", "reference"],
};

/** Whether the inode behind the descriptors of a file is v8's shim: settled by the call that makes it, before anybody can use it. */
function isShim(machine: Machine, index: number): boolean {
  const file = machine.files[index];
  const plan = file?.object.kind === "memfd" ? machine.plans[file.object.call] : undefined;
  const made = plan?.operations.filter((name) => name.endsWith(".plain") !== isMadeInaccessible(machine, file.object)) ?? [];
  return made.some((name) => machine.operation(name).labels.has("wrap"));
}

/** Modes of fallocate that the tmpfs refuses before it takes its lock: all but KEEP_SIZE and PUNCH_HOLE. */
const UNSUPPORTED = ~3n;

const fileOf = (machine: Machine, plan: Plan): FileState | undefined => machine.files[plan.file];

export function inodeLockOf(machine: Machine, plan: Plan): readonly Field[] {
  const file = fileOf(machine, plan);
  return file ? [isShim(machine, plan.file) ? file.shimLock : file.lock] : [];
}

/** The tmpfs's own lock, for an operation that holds none itself. */
export function innerLockOf(machine: Machine, plan: Plan, operation: CompiledOperation): readonly Field[] {
  const file = fileOf(machine, plan);
  const { mode } = plan.data as { mode: bigint };
  if (!file || plan.cells.length === 0 || mode & UNSUPPORTED || (operation.labels.has("lock_inode") && !isShim(machine, plan.file))) return [];
  return [file.lock];
}

/** The folio of a call that works on one cell only. */
export function folioOf(machine: Machine, plan: Plan): readonly Field[] {
  const folio = plan.cells.length === 1 ? fileOf(machine, plan)?.folios[plan.cells[0]] : undefined;
  return folio ? [folio] : [];
}

export const truncateLocksOf = (machine: Machine, plan: Plan, operation: CompiledOperation): readonly Field[] => [
  ...innerLockOf(machine, plan, operation),
  ...folioOf(machine, plan),
];

const FAULT_THERE: Shape = { reads: ["size", "lock", "page", "pte", "uptodate"], writes: ["pte"] };

/** The page is in the file and has been cleared: only the PTE is new. */
export function narrowHostLookup(context: Context): Shape | undefined {
  const { machine, state } = context;
  const { mapping: index, page, value } = context.plan.data as { mapping: number; page: number; value: number | undefined };
  const mapping = machine.mappings[index];
  const cell = mapping.cells.at(page);
  const file = machine.files[mapping.object.file];
  const fileCell = fileCellOf(file, mapping, cell);
  const frame = file.frames[fileCell]?.get(state) ?? 0;
  const old = mapping.ptes[cell]?.get(state) ?? 0;
  if (frame === 0 || file.uptodate[fileCell].get(state) === 0 || (old !== 0 && old !== frame)) return undefined;
  return value !== undefined && !mapping.object.shared ? undefined : FAULT_THERE;
}

const NO_PTE: Shape = { reads: ["pte", "page"], writes: [], returns: false };
const HOST_LOAD: Shape = { reads: ["pte", "page", "content"], writes: [] };

export function narrowHostAccess(context: Context): Shape | undefined {
  const { machine, state } = context;
  const { mapping: index, page, value } = context.plan.data as { mapping: number; page: number; value: number | undefined };
  const mapping = machine.mappings[index];
  const cell = mapping.cells.at(page);
  if (mapping.mapped[cell]?.get(state) !== 1 || !permits(protOf(state, mapping, cell), value !== undefined)) return undefined;
  if ((mapping.ptes[cell]?.get(state) ?? 0) === 0) return NO_PTE;
  return value === undefined ? HOST_LOAD : undefined;
}

/** A read at an offset of its own leaves that of the file alone. */
export const READ_AT: Shape = { reads: ["file", "size", "page", "content", "uptodate"], writes: [] };
