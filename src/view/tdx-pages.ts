// The page rows of TDs: what mirror, secure EPT, PAMT and TLBs have for a guest page, beside the columns of every VM; and the rows of TDs that no VM is behind.

import { PRIVATE, type VmState } from "../model/kvm/state.ts";
import type { Machine } from "../model/machine.ts";
import { frameBehind, isLarge, leafEntry, pamtOf } from "../model/tdx/blocks.ts";
import type { SeptEntry, TdState, TdxState } from "../model/tdx/state.ts";
import { LEVEL, OP_STATE, PT, SEPT } from "../model/tdx/tables.ts";
import type { Cell, ColumnId, PageRow } from "./rows.ts";
import { type Broken, brokenAt } from "./tdx-broken.ts";
import { tlbText } from "./tdx-tables.ts";
import { entryText, gpaOf, ownerName, pageName, typeName } from "./tdx-words.ts";

const EMPTY: Cell = { text: "" };
const celled = (text: string, detail: string, broken: string | undefined): Cell => ({ text, detail, ...(broken === undefined ? {} : { broken }) });

/** mirror, secure EPT, PAMT and TLBs of a page of a TD behind a VM, and the frame that the guest has there; undefined for every other VM. */
export function tdCells(
  machine: Machine,
  state: Int32Array,
  vm: VmState,
  at: number,
  broken: Broken,
): { cells: Partial<Record<ColumnId, Cell>>; frame: number } | undefined {
  const kvm = machine.kvmTds?.vms[vm.object.index];
  const { tdx } = machine;
  if (!kvm || !tdx) return undefined;
  const gfn = vm.cells.start(at);
  const entry = kvm.td.entries[LEVEL.PT].get(gfn);
  const mirrored = vm.ept[PRIVATE][at]?.get(state) ?? 0;
  const frozen = kvm.frozen.get(at)?.get(state) === 1;
  const wrong = brokenAt(broken, kvm.td, gfn);
  const mirror = frozen
    ? celled("FROZEN", "the entry of the mirror is FROZEN: a fault calls the TDX module for it", wrong)
    : mirrored > 0
      ? celled(`${mirrored}`, `KVM's mirror maps frame ${mirrored}`, wrong === "mirror-agrees" ? wrong : undefined)
      : EMPTY;
  return {
    cells: { mirror, ...septCells(tdx, state, kvm.td, entry, broken), tlb: tlbCell(tdx, state, kvm.td, gfn, broken) },
    frame: entry?.frame.get(state) ?? 0,
  };
}

function septCells(tdx: TdxState, state: Int32Array, td: TdState, entry: SeptEntry | undefined, broken: Broken): Partial<Record<ColumnId, Cell>> {
  if (!entry || td.tdr.get(state) === 0 || td.opState.get(state) === OP_STATE.UNINITIALIZED) return {};
  const frame = entry.frame.get(state);
  const text = `${isLarge(entry, state) ? "2M " : ""}${entryText(entry, state)}`;
  const sept = celled(text, `the secure EPT of ${td.object.name} has ${gpaOf(entry.gfn)} ${text}`, brokenAt(broken, td, entry.gfn));
  return { sept, pamt: frame > 0 ? pamtCell(tdx, state, frame, broken) : EMPTY };
}

function pamtCell(tdx: TdxState, state: Int32Array, frame: number, broken: Broken): Cell {
  const { type, bepoch } = pamtOf(tdx, state, frame);
  const name = typeName(type.get(state));
  const epoch = bepoch.get(state) > 0 ? `, BEPOCH ${bepoch.get(state)}` : "";
  const owner = ownerName(tdx, state, frame);
  return celled(`${name}${epoch}`, `frame ${frame} is ${name}${owner === "" ? "" : ` of ${owner}`}${epoch}`, broken.frames.get(frame));
}

/** TLBs of all vCPUs of the TD for one page. */
function tlbCell(tdx: TdxState, state: Int32Array, td: TdState, gfn: number, broken: Broken): Cell {
  let wrong: string | undefined;
  const entries = tdx.vcpus.flatMap((vcpu) => {
    const frame = vcpu.tlb.get(gfn)?.get(state) ?? 0;
    if (frame === 0 || vcpu.td.get(state) !== td.object.index + 1) return [];
    wrong ??= broken.vcpus.get(vcpu.object.index);
    const { text, detail } = tlbText(tdx, state, vcpu);
    return [
      {
        text: `${vcpu.object.name}: ${frame}${text.endsWith("(gone)") ? " (gone)" : ""}`,
        detail: `${vcpu.object.name}: frame ${frame}, ${detail.split(", ").at(-1)}`,
      },
    ];
  });
  if (entries.length === 0) return EMPTY;
  return celled(entries.map(({ text }) => text).join(", "), `TLB of ${entries.map(({ detail }) => detail).join("; ")}`, wrong);
}

/** Rows of TDs that a scenario drives itself: pages that are named and whose tree has come as far, or that have been there. */
export function tdRows(machine: Machine, state: Int32Array, broken: Broken, contentOf: (frame: number) => Cell): PageRow[] {
  const { tdx } = machine;
  return (tdx?.tds ?? []).flatMap((td) => {
    if (!tdx || td.object.vm !== undefined || td.tdr.get(state) === 0) return [];
    return [...td.entries[LEVEL.PT].values()]
      .sort((a, b) => a.gfn - b.gfn)
      .flatMap((entry): PageRow[] => {
        const leaf = leafEntry(td, state, entry.gfn) ?? entry;
        const above = td.entries[LEVEL.PD].get(Math.floor(entry.gfn / 512))?.state.get(state) ?? SEPT.FREE;
        const tlb = tlbCell(tdx, state, td, entry.gfn, broken);
        if (above === SEPT.FREE && tlb.text === "") return [];
        const frame = frameBehind(tdx, state, leaf, entry.gfn);
        const cells: Record<ColumnId, Cell> = {
          slot: EMPTY,
          attribute: EMPTY,
          file: EMPTY,
          frame: frame > 0 ? { text: `${frame}`, detail: [`frame ${frame}`, pageName(machine, state, frame)].filter((text) => text !== "").join(", ") } : EMPTY,
          host: EMPTY,
          ept: EMPTY,
          mirror: EMPTY,
          sept: EMPTY,
          pamt: EMPTY,
          ...septCells(tdx, state, td, leaf, broken),
          tlb,
          content: frame > 0 && pamtOf(tdx, state, frame).type.get(state) === PT.REG ? contentOf(frame) : EMPTY,
        };
        return [{ key: `td${td.object.index}/${entry.gfn}`, label: gpaOf(entry.gfn), space: td.object.name, cells }];
      });
  });
}
