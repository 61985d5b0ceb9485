// KVM's TDX code where it calls the TDX module: a leaf as two steps of a kernel operation, what KVM makes of a status, pages that it gives to the module, and
// KVM_BUG_ON. arch/x86/kvm/vmx/tdx.c.

import { assert } from "../../base/assert.ts";
import type { TdxStatus } from "../../base/tdx-status.ts";
import type { Field, Region } from "../layout.ts";
import { type Context, type Machine, NEXT, type StepCode } from "../machine.ts";
import { allocateFrame, release } from "../memory/frames.ts";
import { isRefused, type Leaf, leafSteps, type Registers } from "../tdx/leaf.ts";
import { leafNamed } from "../tdx/leaves.ts";
import { type KvmTd, type KvmTds, type KvmTdVcpu, type TdLocals, tdHolders } from "./tdx-state.ts";

/** The VM that a call is about: that of its guest_memfd, the one that its plan names, or the one that it destroys. */
export function vmIndexOf(machine: Machine, plan: Context["plan"]): number {
  const file = machine.files[plan.file]?.object;
  if (file?.kind === "guest_memfd") return file.vm as number;
  const named = (plan.data as { readonly vm?: number } | undefined)?.vm;
  return named ?? plan.vm ?? -1;
}

export function tdsOf(machine: Machine): KvmTds {
  assert(machine.kvmTds, "KVM's TDX code runs for a TD");
  return machine.kvmTds;
}

/** The TD that a call is about. */
export function tdOfPlan(machine: Machine, plan: Context["plan"]): KvmTd {
  const td = tdsOf(machine).vms[vmIndexOf(machine, plan)];
  assert(td, "the VM of the call is a TD");
  return td;
}

/** Whether the call is about a TD; steps of KVM's TDX code pass over every other VM. */
export const isOnTd = (context: Context): boolean => context.machine.kvmTds?.vms[vmIndexOf(context.machine, context.plan)] !== undefined;

/** Steps of an operation that VMs of all types run. */
export function forTds<Steps extends Readonly<Record<string, StepCode>>>(steps: Steps): Steps {
  return Object.fromEntries(Object.entries(steps).map(([name, step]) => [name, forTd(step)])) as unknown as Steps;
}

function forTd(step: StepCode): StepCode {
  return { ...step, run: (context) => (isOnTd(context) ? step.run(context) : behindLeaf(context, NEXT)) };
}

export const tdOf = (context: Context): KvmTd => tdOfPlan(context.machine, context.plan);
export const localsOf = (context: Context): TdLocals => tdsOf(context.machine).locals[context.thread.index];

/** The vCPUs of a TD, in the order of their making. */
export const vcpusOf = (machine: Machine, td: KvmTd): KvmTdVcpu[] =>
  tdsOf(machine).vcpus.filter((vcpu): vcpu is KvmTdVcpu => vcpu !== undefined && machine.objects.vcpus[vcpu.vcpu].vm === td.vm);

export const isSuccess = ({ status }: TdxStatus): boolean => status === "TDX_SUCCESS";
/** tdx_operand_busy: TDX_PREVIOUS_TLB_EPOCH_BUSY is none. */
export const isBusy = ({ status }: TdxStatus): boolean => status === "TDX_OPERAND_BUSY";

/** KVM_BUG_ON: the VM is bugged, and dead from here on. */
export function bug(context: Context, why: string): void {
  const td = tdOf(context);
  if (td.bugged.get(context.state) === 0) context.machine.emit("kvm-bug", td.vm, context.plan.id);
  td.bugged.set(context.state, 1);
  td.dead.set(context.state, 1);
  if (context.telling) context.say(`KVM_BUG_ON: ${why}; the VM is bugged and dead`);
}

interface KvmLeaf {
  readonly leaf: string;
  /** From the state; the same in both halves. */
  readonly registers: (context: Context) => Registers;
  /** What KVM does with the status, by the codes of machine.ts. */
  readonly answered: (context: Context, status: TdxStatus, output: number, violation?: bigint) => number;
  /** Runs first: a code of machine.ts to pass over the leaf, or undefined. It may write. */
  readonly before?: (context: Context) => number | undefined;
  readonly reads?: readonly Region[];
  readonly writes?: readonly Region[];
  readonly jumps: readonly string[];
  readonly returns?: boolean;
  readonly events?: boolean;
}

function theLeaf(name: string): Leaf {
  const leaf = leafNamed(name);
  assert(leaf, `there is no leaf ${name}`);
  return leaf;
}

/** A leaf as a step and its commit. What is passed over or refused goes on behind the commit. */
export function kvmLeaf(row: KvmLeaf): StepCode {
  const { acquire, commit } = leafSteps({
    of: (context) => ({ leaf: theLeaf(row.leaf), registers: row.registers(context) }),
    answered: (context, status, output, violation) => behindLeaf(context, row.answered(context, status, output, violation)),
    reads: ["td", "ept", ...(row.reads ?? [])],
    writes: ["td", ...(row.writes ?? [])],
    jumps: row.jumps,
    returns: row.returns ?? false,
  });
  const { before } = row;
  const events = row.events ?? true;
  return {
    ...acquire,
    events,
    run(context) {
      const passed = isRefused(context) ? undefined : before?.(context);
      return passed === undefined ? acquire.run(context) : behindLeaf(context, passed);
    },
    commits: { ...commit, events },
  };
}

/** Behind a leaf that was refused or passed over comes the step behind its commit. */
function behindLeaf(context: Context, code: number): number {
  const { operation, step } = context;
  if (code !== NEXT || step === undefined) return code;
  const at = operation.steps.indexOf(step);
  return operation.steps[at + 1]?.name === `${step.name}.commit` ? at + 2 : NEXT;
}

/** A page for the module, from the allocator: kept in `holder`, the same in both halves of the leaf that takes it. `place`: where it ends up. */
export function pageFor(context: Context, holder: Field, place = holder): number {
  const there = holder.get(context.state);
  if (there > 0) return there;
  const frame = allocateFrame(context, frameOf(context.machine, place));
  holder.set(context.state, frame);
  return frame;
}

const PLACES = new WeakMap<Machine, ReadonlyMap<Field, number>>();

/** Each place for a page of the kernel has a frame that it takes where that is free, from the last one down. */
function frameOf(machine: Machine, place: Field): number {
  let places = PLACES.get(machine);
  if (!places) PLACES.set(machine, (places = new Map(tdHolders(machine.kvmTds).owners.map((field, index) => [field, machine.frames.length - 1 - index]))));
  return places.get(place) ?? 0;
}

/** The page goes back to the allocator. */
export function freePageOf(context: Context, holder: Field): void {
  const frame = holder.get(context.state);
  holder.set(context.state, 0);
  release(context, frame);
}
