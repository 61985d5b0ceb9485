// The words in which the views speak of the TDX module: entries, page types, life cycles, as the specification and the module's source name them.

import { formatAddress } from "../base/units.ts";
import type { Machine } from "../model/machine.ts";
import { blockAt, pagesOf, pamtOf } from "../model/tdx/blocks.ts";
import { keyState } from "../model/tdx/build.ts";
import type { TryLock } from "../model/tdx/locks.ts";
import { type Block, LINE, type SeptEntry, type TdState, type TdxState } from "../model/tdx/state.ts";
import { KOT_NAMES, LEVEL, type PageType, PT, pageTypeName, SEPT, SEPT_NAMES } from "../model/tdx/tables.ts";

export const gpaOf = (gfn: number): string => formatAddress(BigInt(gfn) << 12n);

export const typeName = (type: number): string => pageTypeName(type as PageType);

/** `MAPPED 4`, `FREE`. */
export function entryText(entry: SeptEntry, state: Int32Array): string {
  const is = entry.state.get(state);
  return is === SEPT.FREE ? "FREE" : `${SEPT_NAMES[is]} ${entry.frame.get(state)}`;
}

/** Of a try-lock: `exclusive`, `shared by 2`, or nothing where it is free. */
export function lockText({ field }: TryLock, state: Int32Array): string {
  const held = field.get(state);
  if (held === 0) return "";
  return held === field.mask ? "exclusive" : held === 1 ? "shared" : `shared by ${held}`;
}

/** The TD that the PAMT has a page for. */
export function ownerName(tdx: TdxState, state: Int32Array, frame: number): string {
  const entry = pamtOf(tdx, state, frame);
  const owner = entry.owner.get(state);
  if (owner > 0) return tdx.tds[owner - 1].object.name;
  return entry.type.get(state) === PT.TDR ? (tdx.tds.find((td) => td.tdr.get(state) === frame)?.object.name ?? "") : "";
}

export const keyName = (tdx: TdxState, index: number): string => `HKID ${tdx.keys[index].hkid}`;
export const kotName = (tdx: TdxState, state: Int32Array, index: number): string => KOT_NAMES[keyState({ tdx, state }, tdx.keys[index])];

/** Under which keys lines of a frame may lie modified, and whose lines memory has. */
export function linesText(tdx: TdxState, state: Int32Array, frame: number): string {
  const { owner, sharedDirty, privateDirty } = tdx.lines[frame];
  const kinds = new Set(owner.map((line) => line.get(state)));
  const dirty = privateDirty.get(state);
  return [
    ...(kinds.has(LINE.POISON) ? ["poison"] : []),
    ...(kinds.has(LINE.TD) ? [kinds.size > 1 ? "TD-owner in part" : "TD-owner"] : []),
    ...(sharedDirty.get(state) === 1 ? ["dirty, shared key"] : []),
    ...(dirty > 0 ? [`dirty, ${keyName(tdx, dirty - 1)}`] : []),
  ].join(", ");
}

/** The KVM half of a TD, where a VM of KVM is behind it. */
export const kvmTdOf = (machine: Machine, td: TdState) => machine.kvmTds?.vms.find((one) => one?.td === td);

/** Where in memory of 2 MB the pages lie that a frame stands for: ``, `+0x3000`, `+0x4000 to 0x1ff000`. */
function placeIn(block: Block, frame: number): string {
  const from = block.cells.start(frame - block.first);
  const to = from + pagesOf(block, frame) - 1;
  return from === 0 ? "" : `+${gpaOf(from)}${to > from ? ` to ${gpaOf(to)}` : ""}`;
}

/** What a frame is called: by the scenario, which took it with alloc_frame(), by the file that has it, or as a table of the secure EPT by the entries in it. */
export function pageName(machine: Machine, state: Int32Array, frame: number): string {
  const block = machine.tdx && blockAt(machine.tdx, frame);
  const driver = machine.drivers.findIndex((field) => field.get(state) === (block?.first ?? frame));
  if (driver >= 0) return `${machine.objects.drivers[driver].name}${block ? placeIn(block, frame) : ""}`;
  for (const { object, cells, frames } of machine.files) {
    const cell = frames.findIndex((field, at) => cells.single(at) && field.get(state) === frame);
    if (cell >= 0) return `${object.name}+${gpaOf(cells.start(cell))}`;
  }
  for (const td of machine.tdx?.tds ?? []) {
    for (const entry of td.entries.slice(LEVEL.PD).flatMap((entries) => [...entries.values()])) {
      if (entry.state.get(state) !== SEPT.FREE && entry.frame.get(state) === frame) return `level ${entry.level - 1}, ${gpaOf(entry.gfn)}`;
    }
  }
  return "";
}
