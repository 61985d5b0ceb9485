// The VMM of a TD ends while its vCPUs run, a thread of it is in KVM's TDX code, or a helper changes the guest_memfd: footprints, reductions, and that a
// correct kernel breaks no rule and gives everything back.

import assert from "node:assert/strict";
import { it } from "node:test";
import { check } from "../../../src/check/index.ts";
import { answers, breaches, program, still } from "../support.ts";
import { undeclared } from "../watching.ts";
import { CONVERT, PUNCH, TD } from "./tdx-support.ts";

/** The TD's VMM is a process of its own, whose guest_memfd a helper has. */
const ending = (kernel: string, block: string): string => `${TD}
scenario "ending" {
  kernel ${kernel}
  process qemu { use td; vcpu0: load(0x1000) = 0x41; send_fd(ram, vmm) }
  parallel {
    ${block}
  }
  close(ram)
  kill(qemu, SIGKILL) = 0
  assert !alive(vm)
}
`;

const GUEST = ["load(0x1000)", "TDG.MEM.PAGE.ACCEPT(0x2000, 0)", "store(SHARED|0x2000, 1)", "load(0x1000); load(0x1000)", "run()"];
const INSIDE = [PUNCH(0x1000), CONVERT(0x1000, 0), "KVM_PRE_FAULT_MEMORY(vcpu1, 0x2000, 8K)", "munmap(host, 16K)", "exit_group(0)"];

const races = (kernel: string): string[] => [
  ...GUEST.map((guest) => ending(kernel, `killer { kill(qemu, SIGKILL) }  process qemu { vcpu0 { ${guest} } }`)),
  ...INSIDE.map((call) => ending(kernel, `killer { kill(qemu, SIGKILL) }  process qemu { helper { ${call} } }`)),
  ...[PUNCH(0x1000), "close(ram)"].map((call) => ending(kernel, `vmm { ${call} }  process qemu { exit_group(0) }`)),
  ending(kernel, `vmm { ${PUNCH(0x1000)} }  process qemu { vcpu0 { load(0x1000) } helper { exit_group(0) } }`),
];

for (const kernel of ["6.16", "6.18", "7.2"]) {
  it(`steps touch what they declare (${kernel})`, () => {
    for (const text of races(kernel)) assert.deepEqual(undeclared(text, 2000), [], text);
  });

  it(`with and without reductions the same answers, and nothing breaks (${kernel})`, () => {
    for (const text of races(kernel)) {
      const one = program(text);
      const [full, reduced] = [false, true].map((reduce) => check(one, { now: still, maxStates: 20_000, reduce }));
      assert.deepEqual(
        [full.verdict, reduced.verdict, full.exploration.complete],
        ["pass", "pass", true],
        `${full.remarks.map(({ message }) => message)}\n${text}`,
      );
      const results = [full, reduced].map((report) => one.calls.map((_, call) => answers(one, report, call)));
      assert.deepEqual(results[1], results[0], text);
      assert.deepEqual([breaches(one, full), breaches(one, reduced)], [[], []], text);
    }
  });
}
