// The xarray of kinds, mem_attr_array: one entry for each gfn (v8 5/8 to v10 6/9, Linux 6.8), or in v7 11/14 one multi-index entry for a whole range, as
// xa_store_range makes it: what is stored to a part of such an entry changes all of it. And where it needs memory (lib/xarray.c xas_create).

import type { Context, Machine } from "../machine.ts";
import { NotModelled } from "../objects.ts";
import { CutNeeded } from "../refine.ts";
import type { Conversion } from "./notifier.ts";
import type { VmState } from "./state.ts";

/** Slots of a node of an xarray (XA_CHUNK_SIZE): a range inside one node is one entry, a longer one is several. */
const NODE = 64;

/** The number of the entry that a call makes: 1 + its place among those that make one. */
function entryOf(machine: Machine, call: number): number {
  return machine.program.calls.slice(0, call + 1).filter((each) => each.spec === "KVM_MEMORY_ENCRYPT_REG_REGION").length;
}

/** Stores the kind of the gfns of one cell; `away`: it is not the default one. */
export function storeKind(context: Context, vm: VmState, cell: number, away: boolean): void {
  const { machine, state } = context;
  if (machine.features.conversion_store === "per_gfn") {
    if ((vm.converted[cell].get(state) !== 0) !== away) vm.writers[cell]?.set(state, context.thread.index + 1);
    vm.converted[cell].set(state, away ? 1 : 0);
  } else if (away) enter(context, vm, cell);
  else erase(context, vm, cell);
}

/** The entry goes again when a later store has failed: what this call stored is as it was, what was there before it is lost. */
export function rollBack(context: Context, vm: VmState, cell: number): void {
  const { state, thread } = context;
  const writer = vm.writers[cell];
  if (writer && vm.converted[cell].get(state) !== 0) writer.set(state, writer.get(state) === thread.index + 1 ? 0 : thread.index + 1);
  vm.converted[cell].set(state, 0);
}

/** Ghost: whether some gfn of the cells has the kind that this call gave it. */
export const hasWritten = (context: Context, vm: VmState, cells: readonly number[]): boolean =>
  cells.some((cell) => vm.writers[cell]?.get(context.state) === context.thread.index + 1);

/** Ghost: what an earlier call of the actor wrote is its no longer. */
export function forgetWritten(context: Context, vm: VmState): void {
  for (const writer of vm.writers) if (writer.get(context.state) === context.thread.index + 1) writer.set(context.state, 0);
}

/** The node of a cell's first gfn. */
export const nodeOf = (vm: VmState, cell: number): number => Math.floor(vm.cells.start(cell) / NODE);

/** More nodes than this are not told apart. */
const NODES_APART = 64;

/**
 * Whether to store an entry for the first gfn of a cell takes a node that is not there. An entry of gfn 0 that is the only one of the array stands in its head.
 * `made`: nodes that the step at hand has made already. The gfns of a cell share one node.
 */
export function needsNode(context: Context, vm: VmState, cell: number, made: ReadonlySet<number> = new Set()): boolean {
  const { machine, state, plan } = context;
  const { cells } = vm;
  const { from, to } = plan.data as Conversion;
  const [first, end] = [cells.start(cell), cells.end(cell)];
  const node = nodeOf(vm, cell);
  const boundary = first === 0 ? 1 : (node + 1) * NODE;
  if (to - from > NODES_APART * NODE) machine.limit ??= `memory may run out at each of more than ${NODES_APART} nodes of the xarray; not each one is tried`;
  else if (end > boundary) throw new CutNeeded(cells.space, boundary);
  const holds = (low: number, high: number): boolean =>
    vm.converted.some((field, other) => cells.start(other) < high && cells.end(other) > low && field.get(state) !== 0);
  if (made.has(node)) return false;
  if (node > 0 || holds(NODE, Number.POSITIVE_INFINITY) || made.size > 0) return !holds(node * NODE, (node + 1) * NODE);
  return first > 0 && !holds(1, NODE);
}

/** A present entry is private. */
function enter(context: Context, vm: VmState, cell: number): void {
  const { machine, plan, state } = context;
  const { from, to } = plan.data as Conversion;
  const own = entryOf(machine, plan.id);
  const old = vm.converted[cell].get(state);
  if (old === 0 || old === own) {
    vm.converted[cell].set(state, own);
    return;
  }
  const cells = cellsOf(vm, state, old);
  const inside = cells.every((other) => vm.cells.start(other) >= from && vm.cells.end(other) <= to);
  if (inside) for (const other of cells) vm.converted[other].set(state, own);
  // The same value into a part of an entry that has it changes nothing; a range that sticks out of it is told by no source.
  else if (vm.cells.start(cells[0]) > from || vm.cells.end(cells[cells.length - 1]) < to)
    throw new NotModelled(plan.id, "what a range store over a part of an older entry and gfns beside it leaves behind is not modelled");
}

function erase(context: Context, vm: VmState, cell: number): void {
  const { plan, state } = context;
  const { from, to } = plan.data as Conversion;
  const entry = vm.converted[cell].get(state);
  if (entry === 0) return;
  const cells = cellsOf(vm, state, entry);
  const [first, last] = [vm.cells.start(cells[0]), vm.cells.end(cells[cells.length - 1])];
  const whole = first >= from && last <= to;
  if (!whole && Math.floor(first / NODE) !== Math.floor((last - 1) / NODE))
    throw new NotModelled(plan.id, "which gfns go with a part of a range that does not lie in one node of the xarray is not modelled");
  for (const other of cells) vm.converted[other].set(state, 0);
  if (!whole && context.telling) context.say("the range is one entry of the xarray, and all of it is erased");
}

function cellsOf(vm: VmState, state: Int32Array, entry: number): number[] {
  return vm.converted.flatMap((field, cell) => (field.get(state) === entry ? [cell] : []));
}
