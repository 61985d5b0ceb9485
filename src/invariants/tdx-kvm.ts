// Invariants of KVM's TDX code: the mirror against the secure EPT, the reference that the secure EPT has on a page, and KVM_BUG_ON. A VM that is
// bugged or dead is exempt.

import { PRIVATE } from "../model/kvm/state.ts";
import type { KvmTd } from "../model/kvm/tdx-state.ts";
import { TD_STATE } from "../model/kvm/tdx-state.ts";
import type { Field } from "../model/layout.ts";
import type { Machine } from "../model/machine.ts";
import type { SeptEntry } from "../model/tdx/state.ts";
import { LEVEL, SEPT, SEPT_NAMES } from "../model/tdx/tables.ts";
import { callSpec } from "../scenario/catalogue/index.ts";
import { gpaText, isLive, NOTHING } from "./tdx.ts";
import { type Check, type Invariant, overStates } from "./types.ts";

/** A leaf of the mirror and the entry that it stands for. */
interface Pair {
  readonly cell: number;
  readonly gfn: number;
  readonly mirror: Field;
  readonly frozen: Field | undefined;
  readonly pin: Field | undefined;
  readonly entry: SeptEntry;
}

interface Mirror {
  readonly td: KvmTd;
  readonly pairs: readonly Pair[];
}

function mirrorsOf(machine: Machine): Mirror[] {
  return (machine.kvmTds?.vms ?? []).flatMap((td): Mirror[] => {
    if (!td) return [];
    const vm = machine.vms[td.vm];
    const pairs = vm.ept[PRIVATE].flatMap((mirror, cell): Pair[] => {
      const gfn = vm.cells.start(cell);
      const entry = td.td.entries[LEVEL.PT].get(gfn);
      return mirror && entry ? [{ cell, gfn, mirror, frozen: td.frozen.get(cell), pin: td.pins.get(cell), entry }] : [];
    });
    return [{ td, pairs }];
  });
}

/** Bugged, dead, without a key id (its tree is out of reach), or not there. */
const isExempt = (td: KvmTd, state: Int32Array): boolean =>
  td.bugged.get(state) === 1 || td.dead.get(state) === 1 || td.hkid.get(state) === 0 || !isLive(td.td, state);

const isGuests = (entry: number): boolean => entry === SEPT.MAPPED || entry === SEPT.PENDING;

/** Subjects: a VM, and a cell of it, a table of its mirror, or its count of pages that wait for TDH.MEM.PAGE.ADD. */
const PER_VM = 0x20000;
const TABLES = 0x10000;
const COUNT = 0x1ffff;

function checkMirror(machine: Machine): Check {
  const mirrors = mirrorsOf(machine);
  const locals = machine.kvmTds?.locals ?? [];
  if (mirrors.length === 0) return NOTHING;
  /** The remove hook of the thread that holds mmu_lock for write works on the cell. */
  const isLeaving = (td: KvmTd, state: Int32Array, cell: number): boolean => {
    const writer = td.mmuWriter.get(state);
    return writer > 0 && locals[writer - 1].cell.get(state) === cell + 1;
  };
  return (state, broken) => {
    for (const { td, pairs } of mirrors) {
      if (isExempt(td, state)) continue;
      let waiting = 0;
      let settled = true;
      for (const { cell, mirror, frozen, entry } of pairs) {
        if (frozen?.get(state) === 1 || isLeaving(td, state, cell)) {
          settled = false;
          continue;
        }
        const frame = mirror.get(state);
        const is = entry.state.get(state);
        if (frame === 0 ? isGuests(is) : is !== SEPT.FREE && (!isGuests(is) || entry.frame.get(state) !== frame)) broken(td.vm * PER_VM + cell);
        else if (frame > 0 && is === SEPT.FREE) {
          // Between the map and the TDH.MEM.PAGE.ADD of KVM_TDX_INIT_MEM_REGION; nowhere once the TD is final.
          if (td.state.get(state) === TD_STATE.RUNNABLE) broken(td.vm * PER_VM + cell);
          else waiting += 1;
        }
      }
      if (settled && td.state.get(state) !== TD_STATE.RUNNABLE && waiting !== td.premapped.get(state)) broken(td.vm * PER_VM + COUNT);
      td.tables.forEach(({ entry, frame, frozen }, index) => {
        if (frozen.get(state) === 1) return;
        const is = entry.state.get(state);
        if (frame.get(state) === 0 ? is !== SEPT.FREE : is !== SEPT.NL_MAPPED || entry.frame.get(state) !== frame.get(state))
          broken(td.vm * PER_VM + TABLES + index);
      });
    }
  };
}

const entryText = (entry: SeptEntry, state: Int32Array): string => {
  const is = entry.state.get(state);
  return is === SEPT.FREE ? "FREE" : `${SEPT_NAMES[is]} with frame ${entry.frame.get(state)}`;
};
const frameText = (frame: number): string => (frame === 0 ? "nothing" : `frame ${frame}`);

const mirrorAgrees: Invariant = {
  name: "mirror-agrees",
  reads: ["td", "sept", "ept", "lock"],
  ...overStates(checkMirror),
  describe(machine, subject, state) {
    const vm = Math.floor(subject / PER_VM);
    const at = subject % PER_VM;
    const mirror = mirrorsOf(machine).find(({ td }) => td.vm === vm) as Mirror;
    const { name } = machine.objects.vms[vm];
    const about = { vm, td: mirror.td.td.object.index };
    if (at === COUNT) {
      const count = mirror.pairs.filter((pair) => pair.mirror.get(state) > 0 && pair.entry.state.get(state) === SEPT.FREE).length;
      return {
        subject: name,
        message: `nr_premapped of ${name} is ${mirror.td.premapped.get(state)}, and ${count} pages of its mirror wait for TDH.MEM.PAGE.ADD`,
        about,
      };
    }
    const table = mirror.td.tables[at - TABLES];
    if (table) {
      const where = `the entry of level ${table.entry.level} of ${gpaText(table.entry.gfn)}`;
      const message = `the mirror of ${name} has ${frameText(table.frame.get(state))} behind ${where}, and the secure EPT ${entryText(table.entry, state)}`;
      return { subject: `${name} ${where}`, message, about: { ...about, gfn: table.entry.gfn } };
    }
    const { gfn, mirror: leaf, entry } = mirror.pairs.find((pair) => pair.cell === at) as Pair;
    const message = `the mirror of ${name} maps ${gpaText(gfn)} to ${frameText(leaf.get(state))}, and the secure EPT has ${entryText(entry, state)} there`;
    return { subject: `${name} ${gpaText(gfn)}`, message, about: { ...about, gfn } };
  },
};

/**
 * Calls `broken` with the cells of a VM at which the secure EPT names a page and has no reference on it, in a release that takes one (tdx_pin): subjects of
 * refcount-balanced.
 */
export function checkPins(machine: Machine): Check {
  const mirrors = machine.features.td_page_reference === "pinned" ? mirrorsOf(machine) : [];
  if (mirrors.length === 0) return NOTHING;
  return (state, broken) => {
    for (const { td, pairs } of mirrors) {
      if (isExempt(td, state)) continue;
      for (const { cell, frozen, pin, entry } of pairs) {
        if (frozen?.get(state) !== 1 && entry.state.get(state) !== SEPT.FREE && pin?.get(state) !== entry.frame.get(state)) broken(td.vm * TABLES + cell);
      }
    }
  };
}

export function describePin(machine: Machine, subject: number, state: Int32Array): ReturnType<Invariant["describe"]> {
  const vm = Math.floor(subject / TABLES);
  const mirror = mirrorsOf(machine).find(({ td }) => td.vm === vm) as Mirror;
  const { gfn, entry } = mirror.pairs.find((pair) => pair.cell === subject % TABLES) as Pair;
  const frame = entry.frame.get(state);
  return {
    subject: `frame ${frame}`,
    message: `the secure EPT of ${machine.objects.vms[vm].name} names frame ${frame} at ${gpaText(gfn)}, and KVM has no reference on it`,
    about: { vm, td: mirror.td.td.object.index, gfn, frame },
  };
}

const CALLS = 0x100000;

/** Subjects: a VM, and the call in which it is bugged. */
const noKvmBug: Invariant = {
  name: "no-kvm-bug",
  reads: [],
  event: (_machine, event) => (event.kind === "kvm-bug" ? event.a * CALLS + event.b : undefined),
  describe(machine, subject) {
    const vm = Math.floor(subject / CALLS);
    const { name } = machine.objects.vms[vm];
    const call = callSpec(machine.program.calls[subject % CALLS].spec).name;
    const td = machine.kvmTds?.vms[vm]?.td.object.index;
    const message = `KVM_BUG_ON in ${call}: ${name} is bugged and dead, for the TDX module has answered what KVM has no answer for`;
    return { subject: name, message, about: { vm, ...(td === undefined ? {} : { td }) } };
  },
};

export const kvmTdInvariants: readonly Invariant[] = [mirrorAgrees, noKvmBug];
