// KVM_PRE_FAULT_MEMORY (virt/kvm/kvm_main.c kvm_vcpu_pre_fault_memory, arch/x86/kvm/mmu/mmu.c kvm_arch_vcpu_pre_fault_memory; Linux 6.11): the fault path,
// page by page, without an access.

import { asU64, isPageAligned } from "../../base/units.ts";
import type { Call, CallId } from "../../scenario/program.ts";
import { type Context, type Machine, NEXT, type Plan, type StepCode } from "../machine.ts";
import { intOf, NotModelled, objectOfOperand } from "../objects.ts";
import { bound, plan, ZERO } from "../plan.ts";
import { Reach } from "../scope.ts";
import { endFault, leaveReference } from "./access.ts";
import type { GuestAccess } from "./notifier.ts";
import { guestScope } from "./scopes.ts";

/** Pages that a pre-fault can be asked for: each of them is a step that others can see. */
const MAX_PAGES = 64;

export function planPreFault(machine: Machine, id: CallId, call: Call): Plan {
  const target = call.operands[0];
  const vcpu = machine.objects.vcpus[objectOfOperand(machine.program, machine.objects.vcpuOf, target) ?? -1];
  const [gpa, size, flags] = [1, 2, 3].map((index) => asU64(intOf(call, id, index)));
  const wrong = flags !== 0n || !isPageAligned(gpa) || !isPageAligned(size) || asU64(gpa + size) <= gpa;
  if (!wrong && size >> 12n > MAX_PAGES) throw new NotModelled(id, `KVM_PRE_FAULT_MEMORY of more than ${MAX_PAGES} pages is not modelled`);
  const pages = wrong || !vcpu ? [] : Array.from({ length: Number(size >> 12n) }, (_, page) => Number(gpa >> 12n) + page);
  const cells = pages.map((gfn) => machine.vms[vcpu.vm].cells.one(gfn));
  const [first] = pages;
  const data: Partial<GuestAccess> = { vm: vcpu?.vm, vcpu: vcpu?.index, gfn: first, cell: cells[0], value: undefined };
  return plan(id, call, {
    operations: ["KVM_PRE_FAULT_MEMORY"],
    success: ZERO,
    data,
    cells,
    reads: ["handle"],
    scope: () => prefaultScope(machine, call, data as GuestAccess, pages),
    decode(context) {
      if (!vcpu || !bound(machine, context.state, target)) return "EBADF";
      return wrong ? "EINVAL" : undefined;
    },
  });
}

function prefaultScope(machine: Machine, call: Call, data: GuestAccess, pages: readonly number[]): ReturnType<Reach["scope"]> {
  const own = new Reach(machine).operands(call).scope();
  const vm = machine.vms[data.vm];
  if (!vm) return own;
  const handle = machine.objects.vcpus[data.vcpu].handle;
  const all = pages.map((gfn) => guestScope(machine, { ...data, gfn, cell: vm.cells.at(gfn) }, handle));
  return (region) => {
    const atoms = [own, ...all].map((scope) => scope(region));
    return atoms.includes(undefined) ? undefined : [...new Set(atoms.flatMap((list) => list ?? []))].sort((a, b) => a - b);
  };
}

/** gpa and size of the request move over the page; the caller gets them back with the answer. */
const advance: StepCode = {
  reads: [],
  writes: ["fault", "srcu", "reference", "free"],
  jumps: ["snapshot"],
  returns: false,
  events: true,
  run(context: Context) {
    leaveReference(context);
    const next = context.cursor + 1;
    if (next < context.plan.cells.length) {
      context.thread.cursor.set(context.state, next);
      context.say("gpa and size move over the page");
      return context.jump("snapshot");
    }
    endFault(context);
    context.say("the last page of the request");
    return NEXT;
  },
};

export const prefaultSteps = { advance };
