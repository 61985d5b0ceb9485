// KVM_CHECK_EXTENSION: the capabilities whose answers a source tells (virt/kvm/kvm_main.c kvm_vm_ioctl_check_extension_generic, arch/x86/kvm/x86.c; measured on
// 6.18.44).

import { asU64 } from "../../base/units.ts";
import type { Call, CallId } from "../../scenario/program.ts";
import type { Machine, Plan } from "../machine.ts";
import { intOf, NotModelled, objectOfOperand } from "../objects.ts";
import { bound, plan } from "../plan.ts";
import { gmemFlags, hasPrivateMemory } from "./gmem-file.ts";

const CAP = { USER_MEMORY2: 231n, MEMORY_FAULT_INFO: 232n, MEMORY_ATTRIBUTES: 233n, GUEST_MEMFD: 234n, VM_TYPES: 235n, GUEST_MEMFD_FLAGS: 244n } as const;

export function checkExtension(machine: Machine, id: CallId, call: Call): Plan {
  const target = call.operands.length > 1 ? call.operands[0] : undefined;
  const vm = objectOfOperand(machine.program, machine.objects.vmOf, target);
  const answer = answerOf(machine, id, asU64(intOf(call, id, call.operands.length - 1)), vm);
  return plan(id, call, {
    operations: ["KVM_CHECK_EXTENSION"],
    success: { kind: "value", value: answer },
    reads: ["handle"],
    decode: (context) => (vm === undefined || bound(machine, context.state, target) ? undefined : "EBADF"),
  });
}

/** Asked of /dev/kvm (`vm` undefined) a capability means that some VM has it; asked of a VM, that this one has. */
function answerOf(machine: Machine, id: CallId, cap: bigint, vm: number | undefined): bigint {
  const own = vm === undefined || hasPrivateMemory(machine, vm);
  const { guest_memfd: kind, vm_types: types } = machine.features;
  switch (cap) {
    case CAP.USER_MEMORY2:
    case CAP.MEMORY_FAULT_INFO:
      return 1n;
    case CAP.MEMORY_ATTRIBUTES:
      return own ? 8n : 0n;
    case CAP.GUEST_MEMFD:
      return own || kind !== "private" ? 1n : 0n;
    case CAP.GUEST_MEMFD_FLAGS:
      return kind === "private" ? 0n : vm === undefined ? 3n : gmemFlags(machine, vm);
    case CAP.VM_TYPES:
      if (types === "confidential") throw new NotModelled(id, "which types of confidential VMs the machine has is not modelled");
      return 3n;
    default:
      throw new NotModelled(id, "what KVM_CHECK_EXTENSION answers to this capability is not modelled");
  }
}
