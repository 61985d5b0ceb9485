// Invariants of memory: who may hold, map, read and move a frame. Predicates, moments and exemptions are those of model.md 3.

import { formatAddress } from "../base/units.ts";
import type { VmState } from "../model/kvm/state.ts";
import { PRIVATE, SHARED } from "../model/kvm/state.ts";
import type { Machine, ModelEvent } from "../model/machine.ts";
import { isInaccessible, isMadeInaccessible } from "../model/memory/file.ts";
import { SEAL } from "../model/memory/state.ts";
import { coverOf, heldAt, mappingPlaces, type Place } from "./mappings.ts";
import { type Check, type Invariant, overStates } from "./types.ts";

/** Subjects (VM, gfn cell, frame) as one number. */
export interface MappingSubject {
  readonly vm: number;
  readonly cell: number;
  readonly frame: number;
}

function unpackMapping(machine: Machine, subject: number): MappingSubject {
  const frames = machine.frames.length;
  const place = Math.floor(subject / frames);
  return { vm: Math.floor(place / 0x10000), cell: place % 0x10000, frame: subject % frames };
}

/** What is present in page tables, and in TLBs beside it. A TLB is flushed together with the EPT, so each entry in it is usable. */
function checkMappings(machine: Machine): Check {
  const { leaves, entries } = mappingPlaces(machine);
  return (state, broken) => {
    for (const place of leaves) {
      const frame = place.field.get(state);
      if (frame !== 0) judgePlace(machine, place, frame, state, broken);
    }
    for (const place of entries) {
      const frame = place.field.get(state);
      if (frame !== 0 && place.leaf?.get(state) !== frame) judgePlace(machine, place, frame, state, broken);
    }
  };
}

function judgePlace(machine: Machine, place: Place, frame: number, state: Int32Array, broken: (subject: number) => void): void {
  const held = heldAt(place, state);
  if (held >= 0 && held !== frame) broken((place.vm * 0x10000 + place.cell) * machine.frames.length + frame);
}

/** Second-level mappings and TLB entries that lead to a frame which their backing does not hold: the subjects of no-stale-mapping. */
export function staleMappings(machine: Machine, state: Int32Array): MappingSubject[] {
  const stale: MappingSubject[] = [];
  noStaleMapping.state?.(machine, state, (subject) => stale.push(unpackMapping(machine, subject)));
  return stale;
}

const gfnText = (vm: VmState, cell: number): string => `gfn ${formatAddress(BigInt(vm.cells.start(cell)))}`;

const noStaleMapping: Invariant = {
  name: "no-stale-mapping",
  reads: ["ept", "tlb", "slot", "page", "pte"],
  ...overStates(checkMappings),
  describe(machine, subject, state) {
    const { vm: index, cell, frame } = unpackMapping(machine, subject);
    const vm = machine.vms[index];
    const isEpt = vm.ept.some((leaves) => leaves[cell]?.get(state) === frame);
    const kind = vm.ept[PRIVATE][cell]?.get(state) === frame || machine.vcpus.some((vcpu) => vcpu.tlb[PRIVATE][cell]?.get(state) === frame) ? PRIVATE : SHARED;
    const { leaves, entries } = mappingPlaces(machine);
    const place = [...leaves, ...entries].find((one) => one.vm === index && one.cell === cell && one.kind === kind);
    const held = place ? Math.max(0, heldAt(place, state)) : 0;
    const config = place?.covers[coverOf(place, state)];
    const source = config?.gmemOnly ? "the guest_memfd" : kind === PRIVATE ? "the private file" : "the host page table";
    return {
      subject: `${vm.object.name} ${gfnText(vm, cell)} → frame ${frame}`,
      message: `${isEpt ? "the EPT" : "a TLB"} of ${vm.object.name} still maps ${gfnText(vm, cell)} to frame ${frame}, but ${source} ${held === 0 ? "no longer holds it there" : `holds frame ${held} there now`}`,
      about: { vm: index, gfn: vm.cells.start(cell), frame },
    };
  },
};

const frameOneOwner: Invariant = {
  name: "frame-one-owner",
  reads: ["page", "driver"],
  ...overStates((machine) => {
    const { holders, owners } = machine.frameFields;
    const counts = new Uint8Array(machine.frames.length);
    return (state, broken) => {
      counts.fill(0);
      for (let index = 0; index < owners; index++) {
        const frame = holders[index].get(state);
        if (frame === 0 || counts[frame] > 1) continue;
        counts[frame] += 1;
        if (counts[frame] === 2) broken(frame);
      }
    };
  }),
  describe: (_machine, frame) => ({ subject: `frame ${frame}`, message: `frame ${frame} has two owners`, about: { frame } }),
};

/** What a file lacks that should be inaccessible. */
function unmarked(machine: Machine, seals: number): string {
  switch (machine.features.marker) {
    case "seal":
      return `F_SEAL_INACCESSIBLE (0x20) is not among its seals (0x${seals.toString(16)})`;
    case "xflag":
      return "SHM_F_INACCESSIBLE is not set in its inode";
    case "node_flag":
      return "USER_INACCESSIBLE is not set in its memfile_node";
    default:
      return "no inaccessible inode wraps it";
  }
}

const inaccessibleMarked: Invariant = {
  name: "inaccessible-marked",
  reads: ["file"],
  ...overStates((machine) => {
    const files = machine.files.filter((file) => isMadeInaccessible(machine, file.object));
    return (state, broken) => {
      for (const file of files) if (file.installed.get(state) === 1 && !isInaccessible(state, file)) broken(file.object.index);
    };
  }),
  describe(machine, index, state) {
    const file = machine.files[index];
    const marker = unmarked(machine, file.seals.get(state));
    return {
      subject: file.object.name,
      message: `${file.object.name} was created ${file.object.restricted ? "by memfd_restricted" : "with MFD_INACCESSIBLE"}, but ${marker}: user space can read, write and map it`,
      about: { file: index },
    };
  },
};

const WRITE_SEALED = SEAL.WRITE;

/** A VMA that could write to a file with F_SEAL_WRITE; and, as an event, a write that gets past a write seal. */
const writeSealed: Invariant = {
  name: "write-sealed",
  reads: ["file", "pte"],
  ...overStates((machine) => {
    const shared = machine.mappings.filter(({ object }) => object.shared && machine.files[object.file].object.kind === "memfd");
    return (state, broken) => {
      for (const mapping of shared) {
        if (!(machine.files[mapping.object.file].seals.get(state) & WRITE_SEALED) || mapping.mayWrite.get(state) === 0) continue;
        if (mapping.mapped.some((field) => field.get(state) === 1)) broken(mapping.object.index);
      }
    };
  }),
  event: (machine, event) => (event.kind === "sealed-write" ? machine.mappings.length + event.a : undefined),
  describe(machine, subject) {
    const mapping = machine.mappings[subject];
    const file = machine.files[mapping?.object.file ?? subject - machine.mappings.length].object;
    return mapping
      ? {
          subject: `${mapping.object.name} of ${file.name}`,
          message: `${file.name} has F_SEAL_WRITE, but its shared mapping ${mapping.object.name} is or may become writable`,
          about: { file: file.index },
        }
      : { subject: file.name, message: `a write call reaches ${file.name} although a write seal is set`, about: { file: file.index } };
  },
};

const isTainted = (machine: Machine, event: ModelEvent, state: Int32Array): boolean => machine.frames[event.a].tainted.get(state) === 1;

const privateInaccessible: Invariant = {
  name: "private-inaccessible",
  reads: ["content"],
  ghosts: { taint: true },
  event: (machine, event, state) => ((event.kind === "host-access" || event.kind === "host-pte") && isTainted(machine, event, state) ? event.a : undefined),
  describe: (_machine, frame) => ({
    subject: `frame ${frame}`,
    message: `the host reaches frame ${frame}, which a guest wrote through a private mapping`,
    about: { frame },
  }),
};

const privateUnmovable: Invariant = {
  name: "private-unmovable",
  reads: ["content", "page"],
  ghosts: { taint: true },
  event: (_machine, event) => ((event.kind === "migrated" || event.kind === "reclaimed") && event.b === 1 ? event.a : undefined),
  describe: (_machine, frame) => ({
    subject: `frame ${frame}`,
    message: `frame ${frame} holds private content and is moved or reclaimed all the same`,
    about: { frame },
  }),
};

const zeroedOnAllocation: Invariant = {
  name: "zeroed-on-allocation",
  reads: ["content"],
  ghosts: { provenance: true },
  event: (machine, event) => (event.kind === "leftover-read" ? event.a * machine.bytes.count + event.b : undefined),
  describe(machine, subject) {
    const frame = Math.floor(subject / machine.bytes.count);
    return {
      subject: `frame ${frame}`,
      message: `the reader gets bytes that lay in frame ${frame} before it was allocated here: nobody cleared them`,
      about: { frame },
    };
  },
};

export const memoryInvariants: readonly Invariant[] = [
  noStaleMapping,
  frameOneOwner,
  inaccessibleMarked,
  writeSealed,
  privateInaccessible,
  privateUnmovable,
  zeroedOnAllocation,
];
