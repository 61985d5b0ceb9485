// Random small scenarios as text: a private file, an ordinary file, mappings, a VM with slots and two vCPUs, then up to three actors in parallel.

import * as fc from "fast-check";

const KERNELS = ["v4", "v4-or", "v8", "v8-bracketed"] as const;
export type Kernel = (typeof KERNELS)[number];

export const HEADER = `
kernel v4-or extends v4 { set_marker = or; notifier_base_gfn = added; notifier_seq = moves }
kernel v8-bracketed extends v8 {
  notifier_units = pages
  fallocate.punch_hole = check_alignment, invalidate_begin, truncate, invalidate_end
  fallocate.allocate = check_args, invalidate_begin, allocate, invalidate_end
}
`;

/** Two pages of private file at gpa 0x1000, one slot of the ordinary file at 0x8000; the private slot has the ordinary file for its shared side. */
export const SETUP = `
  ram = memfd_create("ram", MFD_INACCESSIBLE)
  ftruncate(ram, 8K) = 0
  mem = memfd_create("mem", MFD_ALLOW_SEALING)
  ftruncate(mem, 12K) = 0
  map = mmap(NULL, 12K, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 0)
  vm = KVM_CREATE_VM(0)
  vcpu0 = KVM_CREATE_VCPU(vm, 0)
  vcpu1 = KVM_CREATE_VCPU(vm, 1)
  KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=KVM_MEM_PRIVATE, guest_phys_addr=0x1000, memory_size=8K, userspace_addr=map, private_fd=ram, private_offset=0) = 0
  KVM_SET_USER_MEMORY_REGION(vm, slot=1, flags=0, guest_phys_addr=0x8000, memory_size=4K, userspace_addr=map + 8K) = 0
`;

const HOST = [
  "fallocate(ram, 0, 0, 4K)",
  "fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K)",
  "fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 8K)",
  "fallocate(mem, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K)",
  "fallocate(mem, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 8K, 4K)",
  "fallocate(mem, 0, 0, 4K)",
  "ftruncate(mem, 4K)",
  "ftruncate(mem, 16K)",
  "ftruncate(ram, 16K)",
  "pwrite(mem, 0x42, 0)",
  "pwrite(mem, 0x43 * 8, 4092)",
  "pread(mem, 2, 0)",
  "pread(mem, 8, 4092)",
  "load(map, 0)",
  "store(map, 0, 0x44)",
  "load(map, 8K)",
  "munmap(map, 4K)",
  "munmap(map + 8K, 4K)",
  "fcntl(mem, F_ADD_SEALS, F_SEAL_WRITE)",
  "fcntl(mem, F_ADD_SEALS, F_SEAL_GROW)",
  "fcntl(mem, F_GET_SEALS)",
  "close(ram)",
  "close(mem)",
  'write(mem, "xy")',
  "read(mem, 2)",
  "KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=KVM_MEM_PRIVATE, guest_phys_addr=0x1000, memory_size=0)",
  "KVM_SET_USER_MEMORY_REGION(vm, slot=1, flags=0, guest_phys_addr=0x8000, memory_size=0)",
  "KVM_SET_USER_MEMORY_REGION(vm, slot=1, flags=0, guest_phys_addr=0xa000, memory_size=4K, userspace_addr=map + 8K)",
  "KVM_SET_USER_MEMORY_REGION(vm, slot=2, flags=0, guest_phys_addr=0x8000, memory_size=4K, userspace_addr=map + 8K)",
  "KVM_SET_USER_MEMORY_REGION(vm, slot=1, flags=KVM_MEM_LOG_DIRTY_PAGES, guest_phys_addr=0x8000, memory_size=4K, userspace_addr=map + 8K)",
  "migrate(frame(ram, 0))",
  "reclaim(frame(ram, 0))",
  "migrate(frame(mem, 0))",
  "alloc_frame()",
] as const;

const V8_ONLY = [
  "KVM_MEMORY_ENCRYPT_REG_REGION(vm, 0x1000, 4K)",
  "KVM_MEMORY_ENCRYPT_UNREG_REGION(vm, 0x1000, 4K)",
  "KVM_MEMORY_ENCRYPT_UNREG_REGION(vm, 0x1000, 8K)",
] as const;

const GUEST = [
  "load(0x1000)",
  "store(0x1000, 0x51)",
  "load(0x2000)",
  "load(SHARED|0x1000)",
  "store(SHARED|0x1000, 0x52)",
  "load(0x8000)",
  "store(0x8000, 0x53)",
  "load(0x9000)",
] as const;

export interface Scenario {
  readonly kernel: Kernel;
  readonly before: readonly string[];
  readonly threads: readonly { readonly actor: string; readonly calls: readonly string[] }[];
}

const hostCall = (kernel: Kernel): fc.Arbitrary<string> => fc.constantFrom(...HOST, ...(kernel.startsWith("v8") ? V8_ONLY : []));
const guestCall: fc.Arbitrary<string> = fc.constantFrom(...GUEST);

/** `calls`: how many each actor makes at most. */
export const scenario = (calls: number, actors = 3): fc.Arbitrary<Scenario> =>
  fc.constantFrom(...KERNELS).chain((kernel) => {
    const host = fc.array(hostCall(kernel), { minLength: 1, maxLength: calls });
    const guest = fc.array(guestCall, { minLength: 1, maxLength: calls });
    const thread = (actor: string): fc.Arbitrary<Scenario["threads"][number]> =>
      (actor.startsWith("vcpu") ? guest : host).map((list) => ({ actor, calls: list }));
    return fc.record({
      kernel: fc.constant(kernel),
      before: fc.array(
        fc.oneof(
          guestCall.map((call) => `vcpu0: ${call}`),
          hostCall(kernel),
        ),
        { maxLength: 2 },
      ),
      threads: fc.subarray(["vmm", "vcpu0", "vcpu1", "helper"], { minLength: 2, maxLength: actors }).chain((names) => fc.tuple(...names.map(thread))),
    });
  });

export function textOf(of: Scenario): string {
  const blocks = of.threads.map(({ actor, calls }) => `    ${actor} { ${calls.join("; ")} }`);
  return `${HEADER}scenario "random" {\n  kernel ${of.kernel}\n${SETUP}${of.before.map((line) => `  ${line}\n`).join("")}  parallel {\n${blocks.join("\n")}\n  }\n}\n`;
}
