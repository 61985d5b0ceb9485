// Invariants of memory slots and the files behind them, of conversions as a whole, of the order of locks and of references. Predicates, moments and exemptions
// are those of model.md 3.

import { formatAddress, formatSize } from "../base/units.ts";
import { FILE_FREED, LOCKS, SLOT_FREED, USED } from "../model/kvm/gmem-invalidate.ts";
import type { Machine } from "../model/machine.ts";
import type { SlotConfig } from "../model/objects.ts";
import { type Invariant, overStates } from "./types.ts";

const pagesText = (config: SlotConfig): string => `${formatSize(BigInt(config.pages) << 12n)} at ${formatAddress(BigInt(config.filePage) << 12n)}`;
const fileName = (machine: Machine, config: SlotConfig): string => machine.objects.files[config.file ?? -1]?.name ?? "the file";

const share = (a: SlotConfig, b: SlotConfig): boolean => a.file === b.file && a.filePage < b.filePage + b.pages && b.filePage < a.filePage + a.pages;

/** Subjects: a pair of slot configurations, the lower number first. The copy of a slot that is being changed has the same id and counts once. */
const boundOnce: Invariant = {
  name: "bound-once",
  reads: ["slot"],
  ...overStates((machine) => {
    const { slots } = machine.objects;
    const pairs = machine.vms.flatMap((vm) => vm.slots.flatMap((a, at) => vm.slots.slice(at + 1).map((b) => ({ a: a.config, b: b.config }))));
    const meets = slots.map((one) => slots.map((other) => one.file !== undefined && share(one, other)));
    return (state, broken) => {
      for (const { a, b } of pairs) {
        const [first, second] = [a.get(state) - 1, b.get(state) - 1];
        if (first >= 0 && second >= 0 && meets[first][second]) broken(Math.min(first, second) * slots.length + Math.max(first, second));
      }
    };
  }),
  describe(machine, subject) {
    const { slots } = machine.objects;
    const [a, b] = [slots[Math.floor(subject / slots.length)], slots[subject % slots.length]];
    const name = fileName(machine, a);
    return {
      subject: `${name} in slots ${a.id} and ${b.id}`,
      message: `slots ${a.id} and ${b.id} both refer to the same pages of ${name}: ${pagesText(a)} and ${pagesText(b)}`,
      about: { vm: a.vm, ...(a.file === undefined ? {} : { file: a.file }) },
    };
  },
};

/** Offset and size do not wrap; a guest_memfd has its size for good, so its bindings lie within it. Others may be bound before they have a size. */
function isOutside(machine: Machine, config: SlotConfig): boolean {
  const end = (BigInt(config.filePage) + BigInt(config.pages)) << 12n;
  const file = machine.objects.files[config.file ?? -1];
  if (!file) return false;
  return end >= 1n << 64n || (file.kind === "guest_memfd" && end > (file.size ?? 0n));
}

const bindingInBounds: Invariant = {
  name: "binding-in-bounds",
  reads: ["slot"],
  ...overStates((machine) => {
    const outside = machine.objects.slots.map((config) => isOutside(machine, config));
    const fields = machine.vms.flatMap((vm) => vm.slots.map((slot) => slot.config));
    return (state, broken) => {
      for (const field of fields) {
        const config = field.get(state) - 1;
        if (config >= 0 && outside[config]) broken(config);
      }
    };
  }),
  describe(machine, subject) {
    const config = machine.objects.slots[subject];
    const file = machine.objects.files[config.file ?? -1];
    return {
      subject: `slot ${config.id}`,
      message: `slot ${config.id} refers to ${pagesText(config)} of ${fileName(machine, config)}, which has ${formatSize(file?.size ?? 0n)}`,
      about: { vm: config.vm, ...(config.file === undefined ? {} : { file: config.file }) },
    };
  },
};

/** Subjects: a slot configuration and what happened. */
const bindingValid: Invariant = {
  name: "binding-valid",
  reads: ["slot"],
  event: (machine, event) => (event.kind === "dangling-pointer" ? event.a * machine.objects.slots.length + event.b : undefined),
  describe(machine, subject) {
    const { slots } = machine.objects;
    const config = slots[subject % slots.length];
    const name = fileName(machine, config);
    const what = {
      [USED]: `the table of ${name} is followed to slot ${config.id}, whose structure has been freed: use after free`,
      [SLOT_FREED]: `slot ${config.id} is freed and the table of ${name} still leads to it`,
      [FILE_FREED]: `${name} is freed and slot ${config.id} still leads to it`,
    }[Math.floor(subject / slots.length)];
    return {
      subject: `slot ${config.id} and ${name}`,
      message: what ?? "",
      about: { vm: config.vm, ...(config.file === undefined ? {} : { file: config.file }) },
    };
  },
};

/** Subjects: calls. */
const conversionAtomic: Invariant = {
  name: "conversion-atomic",
  reads: ["kind"],
  ghosts: { conversionGhost: true },
  event: (_machine, event) => (event.kind === "conversion-torn" ? event.a : undefined),
  describe(machine, call) {
    const actor = machine.program.calls[call].actor;
    const count = machine.plans[call]?.cells.length ?? 0;
    return {
      subject: `${machine.program.calls[call].spec} of ${machine.program.actors[actor].name}`,
      message: `the conversion has not stored the attributes of its ${count === 1 ? "range" : `${count} ranges`} as a whole: it fails and has changed some, or succeeds and has not`,
      about: { actor },
    };
  },
};

/** Subjects: the class of the lock that is taken. */
const lockOrder: Invariant = {
  name: "lock-order",
  reads: ["lock"],
  event: (_machine, event) => (event.kind === "lock-order" ? event.a : undefined),
  describe: (_machine, lock) => ({
    subject: LOCKS[lock],
    message: `${LOCKS[lock]} is taken while the invalidate lock is held: the order is slots_lock, invalidate lock, mmu_lock, and mmap_lock stands outside the invalidate lock`,
    about: {},
  }),
};

/** Subjects: a frame whose reference nobody puts, and behind them an actor that puts one that it does not hold. */
const refcountBalanced: Invariant = {
  name: "refcount-balanced",
  reads: ["reference"],
  event(machine, event) {
    if (event.kind === "reference-leaked") return event.a;
    return event.kind === "unbalanced-put" ? machine.frames.length + event.a : undefined;
  },
  describe(machine, subject) {
    if (subject < machine.frames.length) {
      return {
        subject: `frame ${subject}`,
        message: `the call returns and its reference on frame ${subject} is never put: the frame is lost when its owner frees it`,
        about: { frame: subject },
      };
    }
    const actor = subject - machine.frames.length;
    const name = machine.program.actors[actor].name;
    return { subject: name, message: `${name} puts a reference that it does not hold`, about: { actor } };
  },
};

export const bindingInvariants: readonly Invariant[] = [boundOnce, bindingInBounds, bindingValid, conversionAtomic, lockOrder, refcountBalanced];
