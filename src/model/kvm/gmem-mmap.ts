// mmap of a guest_memfd (virt/kvm/guest_memfd.c kvm_gmem_mmap).

import type { Call, CallId } from "../../scenario/program.ts";
import type { Machine, Plan } from "../machine.ts";
import { planMmap } from "../memory/mapping.ts";
import { intOf, MAP_ANONYMOUS, MAP_PRIVATE, MAP_TYPE, NotModelled } from "../objects.ts";
import { GUEST_MEMFD_FLAG_MMAP } from "./gmem-state.ts";

const PROT_EXEC = 4n;

/** do_mmap in its order: the type, then the mount, which lets nobody execute, then the method, then kvm_gmem_mmap (measured on 6.18.44). */
export function planGmemMmap(machine: Machine, id: CallId, call: Call): Plan {
  const ordinary = planMmap(machine, id, call);
  const file = ordinary.file;
  const [prot, flags] = [intOf(call, id, 2), intOf(call, id, 3)];
  const type = flags & MAP_TYPE;
  if (flags & MAP_ANONYMOUS || file < 0 || machine.objects.files[file].kind !== "guest_memfd") return ordinary;
  if (prot & PROT_EXEC && machine.features.guest_memfd === "private")
    throw new NotModelled(id, "whether the mount of this release's guest_memfd allows PROT_EXEC is not modelled");
  return {
    ...ordinary,
    decode(context) {
      const refused = ordinary.decode(context);
      if (refused !== undefined) return refused;
      if (prot & PROT_EXEC) return "EPERM";
      if (!(machine.objects.files[file].flags & GUEST_MEMFD_FLAG_MMAP)) return "ENODEV";
      return type === MAP_PRIVATE ? "EINVAL" : undefined;
    },
  };
}
