// Invariants of memory slots and the files behind them, of conversions as a whole, of the order of locks and of references. What each says is in its row of the
// catalogue.

import { assert } from "../base/assert.ts";
import { formatAddress, formatSize } from "../base/units.ts";
import { LOCKS } from "../model/kvm/gmem-invalidate.ts";
import { convertedKind, FILE_FREED, SLOT_FREED, USED } from "../model/kvm/kinds.ts";
import type { Conversion } from "../model/kvm/notifier.ts";
import { KINDS, PRIVATE, SHARED } from "../model/kvm/state.ts";
import type { Machine } from "../model/machine.ts";
import type { SlotConfig } from "../model/objects.ts";
import type { CallId } from "../scenario/program.ts";
import { checkPins, describePin } from "./tdx-kvm.ts";
import { type Invariant, overStates } from "./types.ts";

const pagesText = (config: SlotConfig): string => `${formatSize(BigInt(config.pages) << 12n)} at ${formatAddress(BigInt(config.filePage) << 12n)}`;
const fileName = (machine: Machine, config: SlotConfig): string => machine.objects.files[config.file ?? -1]?.name ?? "the file";

const share = (a: SlotConfig, b: SlotConfig): boolean => a.file === b.file && a.filePage < b.filePage + b.pages && b.filePage < a.filePage + a.pages;

const slotName = (machine: Machine, config: SlotConfig): string =>
  machine.vms.length > 1 ? `slot ${config.id} of ${machine.objects.vms[config.vm].name}` : `slot ${config.id}`;

/**
 * Subjects: a pair of slot configurations, the lower number first, whether of one VM or of two. The copy of a slot that is being changed has the same id and
 * counts once.
 */
const boundOnce: Invariant = {
  name: "bound-once",
  reads: ["slot"],
  ...overStates((machine) => {
    const { slots } = machine.objects;
    const all = machine.vms.flatMap((vm) => vm.slots.map((slot) => slot.config));
    const meets = slots.map((one) => slots.map((other) => one.file !== undefined && share(one, other)));
    return (state, broken) => {
      for (let at = 0; at < all.length; at++) {
        const first = all[at].get(state) - 1;
        if (first < 0) continue;
        for (let next = at + 1; next < all.length; next++) {
          const second = all[next].get(state) - 1;
          if (second >= 0 && meets[first][second]) broken(Math.min(first, second) * slots.length + Math.max(first, second));
        }
      }
    };
  }),
  describe(machine, subject) {
    const { slots } = machine.objects;
    const [a, b] = [slots[Math.floor(subject / slots.length)], slots[subject % slots.length]];
    const name = fileName(machine, a);
    return {
      subject: `${name} in ${slotName(machine, a)} and ${slotName(machine, b)}`,
      message: `${slotName(machine, a)} and ${slotName(machine, b)} are both backed by the same pages of ${name}: ${pagesText(a)} and ${pagesText(b)}`,
      about: { vm: a.vm, ...(a.file === undefined ? {} : { file: a.file }) },
    };
  },
};

const WRAP = 1n << 64n;
const endOf = (config: SlotConfig): bigint => (BigInt(config.filePage) + BigInt(config.pages)) << 12n;

/** Offset and size do not wrap; a guest_memfd has its size for good, so its bindings lie within it. Others may be bound before they have a size. */
function isOutside(machine: Machine, config: SlotConfig): boolean {
  const file = machine.objects.files[config.file ?? -1];
  if (!file) return false;
  return endOf(config) >= WRAP || (file.kind === "guest_memfd" && endOf(config) > (file.size ?? 0n));
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
    const why = endOf(config) >= WRAP ? "offset and size wrap around 2^64" : `the file ends at ${formatSize(file?.size ?? 0n)}`;
    return {
      subject: slotName(machine, config),
      message: `${slotName(machine, config)} is bound to ${pagesText(config)} of ${fileName(machine, config)}: ${why}`,
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
    const slot = slotName(machine, config);
    // struct kvm_gmem has an xarray of its slots, a private file of the series a list of notifiers that are part of theirs.
    const table = config.guestMemfd ? `the table of bindings of ${name}` : `the notifier list of ${name}`;
    const what = {
      [USED]: `${table} is followed to the kvm_memory_slot of ${slot}, which has been freed: use after free`,
      [SLOT_FREED]: `the kvm_memory_slot of ${slot} is freed, and ${table} still points to it`,
      [FILE_FREED]: `${name} is freed, and the kvm_memory_slot of ${slot} still points to it`,
    }[Math.floor(subject / slots.length)];
    return {
      subject: `${slot} and ${name}`,
      message: what ?? "",
      about: { vm: config.vm, ...(config.file === undefined ? {} : { file: config.file }) },
    };
  },
};

const kindAt = (machine: Machine, state: Int32Array, vm: number, cell: number): number => convertedKind(machine, state, machine.vms[vm], cell) ?? SHARED;

function planOf(machine: Machine, call: CallId): { readonly cells: readonly number[]; readonly data: Conversion } {
  const plan = machine.plans[call];
  assert(plan, "a conversion that has run has a plan");
  return { cells: plan.cells, data: plan.data as Conversion };
}

/** Of a conversion that failed: a cell that has the kind which this call gave it. */
function writtenBy(machine: Machine, state: Int32Array, call: CallId): number | undefined {
  const { cells, data } = planOf(machine, call);
  const { writers } = machine.vms[data.vm];
  return cells.find((cell) => writers[cell]?.get(state) === machine.program.calls[call].actor + 1);
}

/** Of one that succeeded: a cell that has not the kind which was asked for. */
function unwritten(machine: Machine, state: Int32Array, call: CallId): number | undefined {
  const { cells, data } = planOf(machine, call);
  const { vm, private: wanted } = data;
  return cells.find((cell) => kindAt(machine, state, vm, cell) !== (wanted ? PRIVATE : SHARED));
}

/** Subjects: calls, and whether the call failed. */
const conversionAtomic: Invariant = {
  name: "conversion-atomic",
  reads: ["kind"],
  ghosts: { conversionGhost: true },
  event: (_machine, event) => (event.kind === "conversion-torn" ? event.a * 2 + event.b : undefined),
  describe(machine, subject, state) {
    const [call, failed] = [Math.floor(subject / 2), subject % 2 === 1];
    const { actor, spec } = machine.program.calls[call];
    const name = machine.program.actors[actor].name;
    const { vm, private: wanted } = planOf(machine, call).data;
    const cell = failed ? writtenBy(machine, state, call) : unwritten(machine, state, call);
    const gfn = cell === undefined ? undefined : machine.vms[vm].cells.start(cell);
    const kind = cell === undefined ? "" : KINDS[kindAt(machine, state, vm, cell)];
    const where =
      gfn === undefined ? `not every gfn of its range was made ${KINDS[wanted ? PRIVATE : SHARED]}` : `gfn ${formatAddress(BigInt(gfn))} is ${kind}`;
    const message = failed ? `${spec} of ${name} fails, and ${where} all the same` : `${spec} of ${name} succeeds, and ${where}`;
    return { subject: `${spec} of ${name}`, message, about: { actor, ...(gfn === undefined ? {} : { vm, gfn }) } };
  },
};

/** Subjects: the class of the lock that is taken. */
const lockOrder: Invariant = {
  name: "lock-order",
  reads: ["lock"],
  event: (_machine, event) => (event.kind === "lock-order" ? event.a : undefined),
  describe: (_machine, lock) => ({
    subject: LOCKS[lock],
    message: `${LOCKS[lock]} is taken under the invalidate lock: the order is slots_lock, invalidate lock, mmu_lock, and mmap_lock is taken outside the invalidate lock`,
    about: {},
  }),
};

const LISTS = 0x10000;

/** Subjects: actors that follow a NULL pointer; behind `LISTS` those that find a list corrupted. */
const noOops: Invariant = {
  name: "no-oops",
  reads: [],
  event: (_machine, { kind, a }) => (kind === "null-dereference" ? a : kind === "list-corrupted" ? a + LISTS : undefined),
  describe(machine, subject) {
    const actor = subject % LISTS;
    const { name } = machine.program.actors[actor];
    const what = subject >= LISTS ? "adds to a list that leads to freed memory" : "dereferences a NULL pointer in the kernel";
    return { subject: name, message: `${name} ${what}: an oops, and its thread dies inside the call`, about: { actor } };
  },
};

const PINS = 0x100000000;

/** Subjects: a frame whose reference nobody puts, behind them an actor that puts one that it does not hold, behind `PINS` pages of a secure EPT. */
const refcountBalanced: Invariant = {
  name: "refcount-balanced",
  reads: ["reference", "td", "sept", "ept", "page"],
  ...overStates((machine) => {
    const check = checkPins(machine);
    return (state, broken) => check(state, (subject) => broken(PINS + subject));
  }),
  event(machine, event) {
    if (event.kind === "reference-leaked") return event.a;
    return event.kind === "unbalanced-put" ? machine.frames.length + event.a : undefined;
  },
  describe(machine, subject, state) {
    if (subject >= PINS) return describePin(machine, subject - PINS, state);
    if (subject < machine.frames.length) {
      return {
        subject: `frame ${subject}`,
        message: `the call returns without a put of its reference on frame ${subject}: the frame can never be freed`,
        about: { frame: subject },
      };
    }
    const actor = subject - machine.frames.length;
    const name = machine.program.actors[actor].name;
    return { subject: name, message: `${name} puts a reference that it does not have: a page that is in use may be freed`, about: { actor } };
  },
};

export const bindingInvariants: readonly Invariant[] = [boundOnce, bindingInBounds, bindingValid, conversionAtomic, lockOrder, noOops, refcountBalanced];
