// The invariant of a VM's life: who has a pointer to it also has a reference on it.

import type { Invariant } from "./types.ts";

/** Subjects: a VM and who works with it. */
const vmValid: Invariant = {
  name: "vm-valid",
  reads: ["slot"],
  event: (machine, event) => (event.kind === "freed-vm" ? event.a * machine.actors + event.b : undefined),
  describe(machine, subject) {
    const vm = Math.floor(subject / machine.actors);
    const { name } = machine.objects.vms[vm];
    const actor = machine.program.actors[subject % machine.actors].name;
    return { subject: `${name} and ${actor}`, message: `${actor} works with ${name}, which has been freed: use after free`, about: { vm } };
  },
};

export const lifeInvariants: readonly Invariant[] = [vmValid];
