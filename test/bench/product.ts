// The product's own rows for the benchmark, in a process of its own: a keystroke in a large file, a scenario on a huge guest against a small one, a racy
// scenario from its text to the verdict. Prints one line of JSON with the milliseconds of each round; the first rounds warm the JIT up and are left out.

import { check } from "../../src/check/index.ts";
import { type Analysis, analyse } from "../../src/language/index.ts";

const WARM = 5;
const ROUNDS = 25;
const now = (): number => performance.now();
const imports = (): undefined => undefined;

const scenario = (index: number): string => `scenario "number ${index}" {
  ram = memfd_create("ram", MFD_ALLOW_SEALING)
  ftruncate(ram, 16K) = 0
  pwrite(ram, "abcd", 0x1000) = 4
  fallocate(ram, FALLOC_FL_KEEP_SIZE, 0x2000, 4K) = 0
  fcntl(ram, F_ADD_SEALS, F_SEAL_SHRINK) = 0
  ftruncate(ram, 8K) = -EPERM
  pread(ram, 4, 0x1000) = 4 "abcd"
  close(ram) = 0
}
`;

const guest = (size: string): string => `kernel v8
ram = memfd_create("ram", MFD_INACCESSIBLE)
ftruncate(ram, ${size})
fallocate(ram, 0, 0, ${size})
vm = KVM_CREATE_VM(0)
vcpu0 = KVM_CREATE_VCPU(vm, 0)
KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=KVM_MEM_PRIVATE, guest_phys_addr=0, memory_size=${size}, private_fd=ram, private_offset=0)
parallel {
  vmm { fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0x1000, 4K) }
  vcpu0 { store(0x1000, 1)
          load(0x1000) }
}
`;

function rounds(run: (round: number) => void): number[] {
  const milliseconds: number[] = [];
  for (let round = -WARM; round < ROUNDS; round++) {
    const from = now();
    run(round + WARM);
    if (round >= 0) milliseconds.push(now() - from);
  }
  return milliseconds;
}

const runAll = (analysis: Analysis): void => {
  for (const program of analysis.programs) check(program, { now });
};

/** Analysis of the whole edited text and a run of the one scenario that changed: what the server does between a key and its diagnostics. */
function keystroke(): number[] {
  const head = "kernel v8\n";
  const parts = Array.from({ length: 500 }, (_, index) => scenario(index));
  let previous: Analysis | undefined = analyse("bench.memfd", head + parts.join(""), { imports });
  return rounds((round) => {
    parts[250] = scenario(250).replace("abcd", `ab${round % 10}d`);
    const next: Analysis = analyse("bench.memfd", head + parts.join(""), { imports, previous });
    check(next.programs[250], { now });
    previous = next;
  });
}

const results = {
  keystroke: keystroke(),
  small: rounds(() => runAll(analyse("small.memfd", guest("16M"), { imports }))),
  huge: rounds(() => runAll(analyse("huge.memfd", guest("1T"), { imports }))),
};
process.stdout.write(`${JSON.stringify(results)}\n`);
