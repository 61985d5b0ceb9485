// Blocks that completion writes whole. What is in them fits the kernels at the cursor: a private page comes from another call in each line of kernels.

import { constant } from "../scenario/catalogue/index.ts";

export interface Snippet {
  readonly label: string;
  readonly detail: string;
  /** In the syntax of LSP: `$1`, `${1:text}`, `$0`; a tab is one step of indentation. */
  readonly snippet: string;
}

const lines = (...all: string[]): string => all.join("\n");

/** The guest's private page by the constant that stands for it; the first of which all of the kernels have it, else none. */
const GUESTS: readonly (readonly [marker: string, body: string])[] = [
  [
    "KVM_MEM_GUEST_MEMFD",
    lines(
      "vm = KVM_CREATE_VM(KVM_X86_SW_PROTECTED_VM)",
      "vcpu0 = KVM_CREATE_VCPU(vm, 0)",
      `ram = KVM_CREATE_GUEST_MEMFD(vm, \${1:16K})`,
      "KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0, memory_size=$1,",
      "                            guest_memfd_offset=0, guest_memfd=ram) = 0",
      "KVM_SET_MEMORY_ATTRIBUTES(vm, 0, $1, KVM_MEMORY_ATTRIBUTE_PRIVATE) = 0",
      "$0",
    ),
  ],
  [
    "MFD_INACCESSIBLE",
    lines(
      'ram = memfd_create("guest-ram", MFD_INACCESSIBLE)',
      `ftruncate(ram, \${1:16K}) = 0`,
      "vm = KVM_CREATE_VM(0)",
      "vcpu0 = KVM_CREATE_VCPU(vm, 0)",
      "KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=KVM_MEM_PRIVATE, guest_phys_addr=0, memory_size=$1,",
      "                           private_fd=ram, private_offset=0) = 0",
      "$0",
    ),
  ],
];

const BLOCKS: readonly Snippet[] = [
  { label: "scenario", detail: "one question: who does what", snippet: `scenario "\${1:what may happen}" {\n\t$0\n}` },
  { label: "setup", detail: "statements that several scenarios use", snippet: `setup \${1:name} {\n\t$0\n}` },
  {
    label: "parallel",
    detail: "actors that run at the same time, in every interleaving",
    snippet: `parallel {\n\t\${1:vmm} { $2 }\n\t\${3:vcpu0} { $4 }\n}\n$0`,
  },
  { label: "atomic", detail: "no other actor runs between these statements", snippet: "atomic {\n\t$0\n}" },
  { label: "repeat", detail: "statements, unrolled", snippet: `repeat \${1:2} as \${2:i} {\n\t$0\n}` },
  { label: "process", detail: "what another process does", snippet: `process \${1:child} {\n\t$0\n}` },
  { label: "machine", detail: "settings of the machine", snippet: "machine {\n\t$0\n}" },
];

/** Of the base profiles at the cursor. */
export function snippets(bases: readonly string[]): readonly Snippet[] {
  const guest = GUESTS.find(([marker]) => bases.every((base) => constant(marker, base) !== undefined));
  return guest === undefined ? BLOCKS : [...BLOCKS, { label: "guest", detail: "a VM with one vCPU and one private slot", snippet: guest[1] }];
}
