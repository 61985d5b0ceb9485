// What older headers lack: constants by the catalogue's values, requests and structures of KVM. Each stands behind an #ifndef.

import { constant, constantsNamed } from "../../scenario/catalogue/index.ts";

interface Request {
  readonly name: string;
  readonly structure: string;
}

// include/uapi/linux/kvm.h: _IOW(KVMIO, 0x49, …) since 6.8, _IOW(KVMIO, 0xd2, …), _IOWR(KVMIO, 0xd4, …) since 6.8, _IOWR(KVMIO, 0xd5, …) since 6.11.
const REQUESTS: Readonly<Record<string, Request & { readonly fields: readonly string[] }>> = {
  KVM_SET_USER_MEMORY_REGION2: {
    name: "_IOW(KVMIO, 0x49, struct kvm_userspace_memory_region2)",
    structure: "kvm_userspace_memory_region2",
    fields: [
      "__u32 slot;",
      "__u32 flags;",
      "__u64 guest_phys_addr;",
      "__u64 memory_size;",
      "__u64 userspace_addr;",
      "__u64 guest_memfd_offset;",
      "__u32 guest_memfd;",
      "__u32 pad1;",
      "__u64 pad2[14];",
    ],
  },
  KVM_SET_MEMORY_ATTRIBUTES: {
    name: "_IOW(KVMIO, 0xd2, struct kvm_memory_attributes)",
    structure: "kvm_memory_attributes",
    fields: ["__u64 address;", "__u64 size;", "__u64 attributes;", "__u64 flags;"],
  },
  KVM_CREATE_GUEST_MEMFD: {
    name: "_IOWR(KVMIO, 0xd4, struct kvm_create_guest_memfd)",
    structure: "kvm_create_guest_memfd",
    fields: ["__u64 size;", "__u64 flags;", "__u64 reserved[6];"],
  },
  KVM_PRE_FAULT_MEMORY: {
    name: "_IOWR(KVMIO, 0xd5, struct kvm_pre_fault_memory)",
    structure: "kvm_pre_fault_memory",
    fields: ["__u64 gpa;", "__u64 size;", "__u64 flags;", "__u64 padding[5];"],
  },
};

/** Some capabilities are rows of no profile that a series has; the newest release has them all. */
const NEWEST = "mainline";

function constantText(name: string, base: string): string {
  const row = constant(name, base) ?? constant(name, NEWEST) ?? constantsNamed(name)[0];
  if (row === undefined) throw new Error(`no constant ${name}`);
  return `#ifndef ${name}\n#define ${name} 0x${row.value.toString(16)}\n#endif`;
}

function requestText(name: string): string | undefined {
  const request = REQUESTS[name];
  if (request === undefined) return undefined;
  const body = request.fields.map((field) => `\t${field}`).join("\n");
  return `#ifndef ${name}\nstruct ${request.structure} {\n${body}\n};\n#define ${name} ${request.name}\n#endif`;
}

export function fallbackText(constants: ReadonlySet<string>, requests: ReadonlySet<string>, base: string): string {
  const parts = [...[...constants].sort().map((name) => constantText(name, base)), ...[...requests].sort().map(requestText)];
  return parts.filter((part) => part !== undefined).join("\n");
}
