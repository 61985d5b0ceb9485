// Ranges of an invalidation: the pages of the file that a step is about, and the gfns that the handler of a bound slot makes of them.

import type { Resize } from "../memory/resize.ts";
import type { SlotConfig } from "../objects.ts";
import type { Context } from "../step.ts";

export interface GfnRange {
  readonly from: number;
  readonly to: number;
}

/** In pages and in bytes. */
export interface FileRange {
  readonly from: number;
  readonly to: number;
  readonly fromBytes: number;
  readonly toBytes: number;
}

/** gfns of one slot: those that are meant, and those that its handler works out; undefined where it returns at once. */
export interface Told {
  readonly intended: GfnRange | undefined;
  readonly range: GfnRange | undefined;
}

export function rangeOfBytes(from: bigint, to: bigint): FileRange {
  return { from: Number(from >> 12n), to: Number((to + 4095n) >> 12n), fromBytes: Number(from), toBytes: Number(to) };
}

/** The range that this step is about: the loop's folio, or the whole call. In pages. */
export function fileRange(context: Context): FileRange {
  const { machine, plan } = context;
  const data = plan.data as Resize;
  if (context.inLoop) {
    const { cells } = machine.files[plan.file];
    const [from, to] = [cells.start(context.cell), cells.end(context.cell)];
    return { from, to, fromBytes: from * 4096, toBytes: to * 4096 };
  }
  return data.range;
}

/** gfns that KVM's handler works out from what it was handed; undefined when it returns at once. */
function handlerRange(context: Context, config: SlotConfig): GfnRange | undefined {
  const { features } = context.machine;
  const range = fileRange(context);
  const [start, end] = features.notifier_units === "bytes" && !context.inLoop ? [range.fromBytes, range.toBytes] : [range.from, range.to];
  const base = features.notifier_base_gfn === "added" ? config.gfn : 0;
  const to = end < config.filePage + config.pages ? base + end - config.filePage : base + config.pages;
  let from = start > config.filePage ? base + start - config.filePage : base;
  if (features.notifier_start === "underflows" && start < config.filePage) {
    from = base + start - config.filePage;
    // Unsigned: below 0 it is above every gfn.
    if (from < 0) return undefined;
  }
  return from < to && to > base ? { from, to } : undefined;
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
