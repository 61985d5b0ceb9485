// Ranges of an invalidation: what ftruncate and fallocate work on, the pages of it that a step is about, and the gfns that the handler of a bound slot makes of
// them.

import type { Context } from "../machine.ts";
import type { SlotConfig } from "../objects.ts";

export interface GfnRange {
  readonly from: number;
  readonly to: number;
}

/** In pages and in bytes. */
interface FileRange {
  readonly from: number;
  readonly to: number;
  readonly fromBytes: number;
  readonly toBytes: number;
}

/** gfns of one slot: those that are meant, and those that its handler works out; undefined where it returns at once. */
interface Told {
  readonly intended: GfnRange | undefined;
  readonly range: GfnRange | undefined;
}

/** What ftruncate and fallocate work on; `parts` are pages of which only some bytes go. */
export interface Resize {
  readonly call: "ftruncate" | "fallocate";
  readonly mode: bigint;
  readonly offset: bigint;
  readonly length: bigint;
  readonly end: bigint;
  /** What a handler of the whole call is told of. */
  readonly range: FileRange;
  /** What the handlers of slots make of it, by slot and folio; filled by those who tell them (kvm/notifier.ts). */
  readonly told: Told[];
  readonly parts: ReadonlyMap<number, { readonly from: number; readonly to: number }>;
}

export function rangeOfBytes(from: bigint, to: bigint): FileRange {
  return { from: Number(from >> 12n), to: Number((to + 4095n) >> 12n), fromBytes: Number(from), toBytes: Number(to) };
}

/** The range that this step is about: the loop's folio, or the whole call. In pages. */
function fileRange(context: Context): FileRange {
  const { machine, plan } = context;
  const data = plan.data as Resize;
  if (context.inLoop) {
    const { cells } = machine.files[plan.file];
    const [from, to] = [cells.start(context.cell), cells.end(context.cell)];
    return { from, to, fromBytes: from * 4096, toBytes: to * 4096 };
  }
  return data.range;
}

/** An unsigned difference that fell below 0: above every page and every gfn. */
const WRAPPED = Number.MAX_SAFE_INTEGER;

/**
 * gfns that KVM's handler works out from what it was handed; undefined when it returns at once. v4 10/12 and v5 11/13 hold the pages against base_gfn as they
 * are; v6 7/8 adds it, and warns of an empty range; both subtract without a look at which is larger. v7 13/14 to v10 9/9 begin at the slot; the end wraps there
 * where the range lies below the slot's part of the file, and all gfns from the slot on are meant.
 */
function handlerRange(context: Context, { vm, gfn, filePage, pages }: SlotConfig): GfnRange | undefined {
  const { features } = context.machine;
  const range = fileRange(context);
  const [start, end] = features.notifier_units === "bytes" && !context.inLoop ? [range.fromBytes, range.toBytes] : [range.from, range.to];
  const underflows = features.notifier_start === "underflows";
  let [from, to] = [start - filePage, end - filePage];
  if (features.notifier_base_gfn === "missing") {
    [from, to] = underflows ? [unsigned(from), unsigned(to)] : [Math.max(0, from), Math.max(0, to)];
    [from, to] = [Math.max(from, gfn), Math.min(to, gfn + pages)];
  } else if (underflows) [from, to] = [unsigned(gfn + from), gfn + Math.min(unsigned(to), pages)];
  else [from, to] = [gfn + Math.max(0, from), unsigned(gfn + Math.min(to, pages))];
  if (from >= to) return undefined;
  return { from, to: to === WRAPPED ? Math.max(from, context.machine.vms[vm].cells.bounds.at(-1) ?? 0) : to };
}

const unsigned = (difference: number): number => (difference < 0 ? WRAPPED : difference);

/** Why the handler of a slot finds nothing to do in the range that it is handed. */
export function whyNot(context: Context, { id, gfn, filePage, pages }: SlotConfig): string {
  const { features } = context.machine;
  const range = fileRange(context);
  const hex = (page: number): string => `0x${page.toString(16)}`;
  const returns = `the handler of slot ${id} returns at once`;
  if (features.notifier_units === "bytes" && !context.inLoop)
    return `${returns}: it takes the byte offsets ${hex(range.fromBytes)} to ${hex(range.toBytes)} for page numbers, and the slot has none of these pages`;
  const told = `pages ${hex(range.from)} to ${hex(range.to)}`;
  if (features.notifier_start === "underflows" && range.from < filePage)
    return `${returns}: the slot begins at page ${hex(filePage)} of the file, ${hex(range.from)} - ${hex(filePage)} is unsigned and wraps, so that start >= end`;
  if (features.notifier_base_gfn === "missing")
    return `${returns}: it holds ${told} of the file against gfns ${hex(gfn)} to ${hex(gfn + pages)} of the slot, without adding base_gfn`;
  return `${returns}: ${told} are not the slot's`;
}

function intendedRange(context: Context, config: SlotConfig): GfnRange | undefined {
  const range = fileRange(context);
  const from = config.gfn + Math.max(0, range.from - config.filePage);
  const to = config.gfn + Math.min(config.pages, range.to - config.filePage);
  return from < to ? { from, to } : undefined;
}

/** Ranges depend on nothing that changes, so each is worked out once. */
export function toldOf(context: Context, config: SlotConfig): Told {
  const { told } = context.plan.data as Resize;
  const index = config.index + (context.inLoop ? context.cursor + 1 : 0) * context.machine.objects.slots.length;
  told[index] ??= { intended: intendedRange(context, config), range: handlerRange(context, config) };
  return told[index];
}
