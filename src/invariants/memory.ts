// Invariants of memory: who may hold, map, read and move a frame. What each says is in its row of the catalogue.

import { formatAddress } from "../base/units.ts";
import type { ModelEvent } from "../model/events.ts";
import type { VmState } from "../model/kvm/state.ts";
import { PRIVATE, SHARED } from "../model/kvm/state.ts";
import type { Machine } from "../model/machine.ts";
import { isInaccessible, isMadeInaccessible } from "../model/memory/file.ts";
import { SEAL } from "../model/memory/state.ts";
import { coverOf, hardwarePlaces, heldAt, type Place } from "./mappings.ts";
import { type Check, type Invariant, overStates } from "./types.ts";

/** Subjects (VM, gfn cell, frame) as one number. */
interface MappingSubject {
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
  const { leaves, entries } = hardwarePlaces(machine);
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
  if (place.inReach?.(state) === false) return;
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
  reads: ["ept", "tlb", "slot", "page", "pte", "sept", "td"],
  ...overStates(checkMappings),
  describe(machine, subject, state) {
    const { vm: index, cell, frame } = unpackMapping(machine, subject);
    const vm = machine.vms[index];
    const { leaves, entries } = hardwarePlaces(machine);
    const leads = (one: Place): boolean => one.vm === index && one.cell === cell && one.field.get(state) === frame;
    const leaf = leaves.find(leads);
    const place = leaf ?? entries.find(leads);
    const kind = place?.kind ?? SHARED;
    const table = place?.inReach ? "secure EPT" : "EPT";
    const held = place ? Math.max(0, heldAt(place, state)) : 0;
    const config = place?.covers[coverOf(place, state)];
    const file = config && (config.gmemOnly || kind === PRIVATE) ? machine.objects.files[config.file ?? -1] : undefined;
    const offset = config ? formatAddress(BigInt(config.filePage + vm.cells.start(cell) - config.gfn) << 12n) : "";
    const source = file ? file.name : "the host page table behind userspace_addr";
    const there = file ? `at ${offset}` : "there";
    const now = held === 0 ? `${source} no longer has it ${there}` : `${source} has frame ${held} ${there} now`;
    return {
      subject: `${vm.object.name} ${gfnText(vm, cell)} → frame ${frame}`,
      message: `${leaf ? `the ${table}` : "a TLB"} of ${vm.object.name} still maps ${gfnText(vm, cell)} to frame ${frame}, but ${config ? now : "no slot has the gfn"}`,
      about: { vm: index, gfn: vm.cells.start(cell), frame },
    };
  },
};

/** Who owns a frame, in words. */
function ownersOf(machine: Machine, state: Int32Array, frame: number): string[] {
  const { holders, owners, kinds } = machine.frameFields;
  return kinds.flatMap((holder, index) => {
    if (index >= owners || holders[index].get(state) !== frame) return [];
    if (holder.kind === "page") {
      const { object, cells } = machine.files[holder.file];
      return [`${object.name} at ${formatAddress(BigInt(cells.start(holder.cell)) << 12n)}`];
    }
    return [holder.kind === "copy" ? `a copy of ${machine.objects.mappings[holder.mapping].name}` : "who took it with alloc_frame()"];
  });
}

const frameOneOwner: Invariant = {
  name: "frame-one-owner",
  reads: ["page", "driver"],
  ...overStates((machine) => {
    const { holders, owners, kinds } = machine.frameFields;
    // What a private mapping held at a fork is one anonymous page, which parent and child map.
    const owner = kinds.map((kind, index) =>
      kind.kind === "copy" ? owners + 1 + machine.objects.mappings[kind.mapping].root * 0x10000 + kind.cell : index + 1,
    );
    const found = new Int32Array(machine.frames.length);
    return (state, broken) => {
      found.fill(0);
      for (let index = 0; index < owners; index++) {
        const frame = holders[index].get(state);
        if (frame === 0 || found[frame] < 0 || found[frame] === owner[index]) continue;
        if (found[frame] === 0) found[frame] = owner[index];
        else {
          found[frame] = -1;
          broken(frame);
        }
      }
    };
  }),
  describe: (machine, frame, state) => ({
    subject: `frame ${frame}`,
    message: `frame ${frame} has more than one owner: ${ownersOf(machine, state, frame).join(", ")}`,
    about: { frame },
  }),
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
    message: `the host gets at frame ${frame}, which a guest wrote as private memory`,
    about: { frame },
  }),
};

const privateUnmovable: Invariant = {
  name: "private-unmovable",
  reads: ["content", "page"],
  ghosts: { taint: true },
  event(_machine, event) {
    if (event.b !== 1) return undefined;
    return event.kind === "migrated" ? event.a * 2 : event.kind === "reclaimed" ? event.a * 2 + 1 : undefined;
  },
  describe(_machine, subject) {
    const frame = Math.floor(subject / 2);
    const message = `frame ${frame}, which a guest wrote as private memory, is ${subject % 2 === 0 ? "migrated" : "reclaimed"}`;
    return { subject: `frame ${frame}`, message, about: { frame } };
  },
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
      message: `a read gets bytes that were in frame ${frame} before its allocation, and that nobody cleared`,
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
