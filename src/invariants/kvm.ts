// Invariants of KVM: private or shared, and the bookkeeping of invalidations. What each says is in its row of the catalogue.

import { formatAddress } from "../base/units.ts";
import { convertedKind, isPrivateSlot } from "../model/kvm/kinds.ts";
import type { Conversion } from "../model/kvm/notifier.ts";
import { KINDS, PRIVATE, SHARED } from "../model/kvm/state.ts";
import type { Machine } from "../model/machine.ts";
import type { CallId } from "../scenario/program.ts";
import { coverOf, mappingPlaces, type Place } from "./mappings.ts";
import { type Check, type Invariant, overStates } from "./types.ts";

/** Which gfns may be between two kinds while a call is under way: in the open window of a conversion an old mapping may still be there, as in munmap. */
type Window = { readonly vm: number; readonly from: number; readonly to: number } | { readonly file: number; readonly first: number; readonly last: number };

/** v10 6/9 stores the attributes before it unmaps; a kernel that unmaps first has no window. */
const hasWindow = (machine: Machine, name: string): boolean => name === "KVM_SET_MEMORY_ATTRIBUTES" && machine.operation(name).labels.has("unmap_end");

function windowOf(machine: Machine, call: CallId): Window | undefined {
  const plan = machine.plans[call];
  if (!plan) return undefined;
  if (plan.operations[0].startsWith("KVM_MEMORY_ENCRYPT_") || hasWindow(machine, plan.operations[0])) {
    const { vm, from, to } = plan.data as Conversion;
    return { vm, from, to };
  }
  if (machine.features.private_kind !== "page_in_file" || !["fallocate", "ftruncate"].includes(plan.call.spec)) return undefined;
  return { file: plan.file, first: plan.cells[0] ?? 0, last: plan.cells.at(-1) ?? -1 };
}

/** A private mapping's place, as this kernel decides whether its gfn is private. */
interface JudgedPlace {
  readonly place: Place;
  readonly subject: number;
  /** By content of the slot field: the cell of the private file behind the gfn, -1 where the slot has none. */
  readonly fileCells: readonly number[];
}

function judgedPlace(machine: Machine, place: Place): JudgedPlace {
  const fileCells = place.covers.map((config) =>
    config === undefined || !isPrivateSlot(config) || config.file === undefined
      ? -1
      : machine.files[config.file].cells.at(config.filePage + place.gfn - config.gfn),
  );
  return { place, subject: (place.vm * 0x10000 + place.cell) * 2 + place.kind, fileCells };
}

function checkKinds(machine: Machine): Check {
  const places = mappingPlaces(machine).leaves.map((place) => judgedPlace(machine, place));
  const windows = machine.program.calls.map((_, call) => windowOf(machine, call));
  const threads = machine.threads.filter(({ index }) => windows.some((window, call) => window && machine.program.calls[call].actor === index));
  const inWindow = ({ place }: JudgedPlace, file: number, cell: number, state: Int32Array): boolean => {
    for (const thread of threads) {
      if (thread.operation.get(state) === 0) continue;
      const window = windows[machine.instruction(state, thread.index)?.call ?? -1];
      if (window === undefined) continue;
      if (
        "vm" in window
          ? window.vm === place.vm && place.gfn >= window.from && place.gfn < window.to
          : window.file === file && cell >= window.first && cell <= window.last
      )
        return true;
    }
    return false;
  };
  return (state, broken) => {
    for (const judged of places) {
      const { place, subject, fileCells } = judged;
      if (place.field.get(state) === 0 || machine.kvmTds?.vms[place.vm]?.dead.get(state) === 1) continue;
      if (machine.features.access_kind === "attribute") {
        if (machine.vms[place.vm].converted[place.cell].get(state) !== place.kind) broken(subject);
        continue;
      }
      const cover = coverOf(place, state);
      const config = place.covers[cover];
      // Where only slots with private memory are asked for the kind, whatever another one maps is ordinary memory.
      if (config === undefined || (fileCells[cover] < 0 && machine.features.ordinary_slot !== "exits")) continue;
      const present = fileCells[cover] >= 0 && (machine.files[config.file as number].frames[fileCells[cover]]?.get(state) ?? 0) > 0;
      const kind = convertedKind(machine, state, machine.vms[place.vm], place.cell) ?? (present ? PRIVATE : SHARED);
      if (kind !== place.kind && !inWindow(judged, config.file ?? -1, fileCells[cover], state)) broken(subject);
    }
  };
}

const attributesRespected: Invariant = {
  name: "attributes-respected",
  reads: ["ept", "kind", "page", "slot", "thread", "td"],
  ...overStates(checkKinds),
  describe(machine, subject) {
    const kind = subject % 2;
    const place = (subject - kind) / 2;
    const vm = machine.vms[Math.floor(place / 0x10000)];
    const gfn = `gfn ${formatAddress(BigInt(vm.cells.start(place % 0x10000)))}`;
    return {
      subject: `${vm.object.name} ${gfn}`,
      message: `${vm.object.name} has a ${KINDS[kind]} mapping of ${gfn}, which is ${KINDS[1 - kind]} now`,
      about: { vm: vm.object.index, gfn: vm.cells.start(place % 0x10000) },
    };
  },
};

const noLostInvalidation: Invariant = {
  name: "no-lost-invalidation",
  reads: ["fault"],
  ghosts: { invalidationGhost: true },
  event: (_machine, event) => (event.kind === "install-after-invalidate" ? event.a * 0x10000 + event.b : undefined),
  describe(machine, subject) {
    const index = Math.floor(subject / 0x10000);
    const actor = machine.program.actors[index].name;
    // A host thread pre-faults for a vCPU of its VM.
    const { vm } = machine.threads[index];
    const gfn = machine.vms[vm].cells.start(subject % 0x10000);
    const text = formatAddress(BigInt(gfn));
    return {
      subject: `${actor} gfn ${text}`,
      message: `the fault of ${actor} maps gfn ${text} to what it looked up before an invalidation of that gfn began`,
      about: { actor: index, vm, gfn },
    };
  },
};

/** Subjects: a VM for an end without a begin, 0x10000 + actor for a begin without an end, 0x20000 + VM for one that is destroyed meanwhile. */
const invalidateBalanced: Invariant = {
  name: "invalidate-balanced",
  reads: ["notifier"],
  event(_machine, event) {
    if (event.kind === "end-without-begin") return event.a;
    if (event.kind === "destroyed-in-progress") return 0x20000 + event.a;
    return event.kind === "begin-without-end" ? 0x10000 + event.a : undefined;
  },
  describe(machine, subject) {
    if (subject < 0x10000) {
      const vm = machine.vms[subject].object.name;
      return { subject: vm, message: `mmu_invalidate_in_progress of ${vm} would fall below 0: an end without a begin`, about: { vm: subject } };
    }
    if (subject >= 0x20000) {
      const vm = subject - 0x20000;
      const { name } = machine.vms[vm].object;
      return { subject: name, message: `${name} is destroyed while mmu_invalidate_in_progress is not 0 and no MMU notifier is active`, about: { vm } };
    }
    const actor = machine.program.actors[subject - 0x10000].name;
    const message = `the call of ${actor} returns with an invalidation begun and not ended: mmu_invalidate_in_progress stays above 0`;
    return { subject: actor, message, about: { actor: subject - 0x10000 } };
  },
};

export const kvmInvariants: readonly Invariant[] = [attributesRespected, noLostInvalidation, invalidateBalanced];
