// A limit that is hit is an answer of its own and never green; what the model does not know stands on the call's line; huge memory costs no more than small.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { check } from "../../src/check/index.ts";
import type { Report } from "../../src/check/report.ts";
import { onMachine, program, report, still } from "../model/support.ts";

const RACE = `kernel v8
mem = memfd_create("mem", 0); ftruncate(mem, 8K); map = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 0)
parallel { vmm { store(map, 0, 1); store(map, 4K, 2) }
helper { pwrite(mem, "ab", 0); pread(mem, 2, 4K) } }
`;

const codes = (judged: Report): string[] => judged.remarks.map((remark) => remark.code);

describe("limits", () => {
  it("without one the race passes", () => {
    const judged = report(RACE);
    assert.equal(judged.verdict, "pass");
    assert.ok(judged.exploration.complete && judged.exploration.limit === undefined);
    assert.deepEqual(codes(judged), []);
  });
  for (const reduce of [false, true]) {
    it(`states, reductions ${reduce ? "on" : "off"}: every number below the full one is incomplete`, () => {
      const all = report(RACE, { reduce }).exploration.states;
      assert.ok(all > 30);
      for (const maxStates of [1, 2, 10, all - 1]) {
        const judged = report(RACE, { reduce, maxStates });
        assert.equal(judged.verdict, "incomplete", `${maxStates} of ${all}`);
        assert.ok(!judged.exploration.complete);
        assert.deepEqual(codes(judged), ["MEMFD6001"]);
      }
      assert.equal(report(RACE, { reduce, maxStates: all }).verdict, "pass");
    });
  }
  it("actors: more than the explorer numbers are not explored, and nothing is green", () => {
    const threads = Array.from({ length: 300 }, (_, index) => `h${index} { size${index} = close(mem) }`).join("\n");
    const judged = report(`kernel v8\nmem = memfd_create("mem", 0)\nparallel {\n${threads}\n}`);
    assert.equal(judged.verdict, "incomplete");
    assert.deepEqual(codes(judged), ["MEMFD6001"]);
  });
  it("cancelled", () => {
    const judged = report(RACE, { cancelled: () => true });
    assert.equal(judged.verdict, "incomplete");
    assert.match(judged.exploration.limit ?? "", /stopped/);
  });
  it("time: the clock is the caller's", () => {
    let now = 0;
    const judged = check(program(RACE), { now: () => (now += 1000), maxMilliseconds: 10 });
    assert.equal(judged.verdict, "incomplete");
    assert.match(judged.exploration.limit ?? "", /time/);
  });
  it("a failure that was found stays one, and what was not found is not blamed", () => {
    const text = `${RACE}pread(mem, 1, 0) = -EPERM\nexists size(mem) == 1\n`;
    assert.deepEqual(codes(report(text)).sort(), ["MEMFD3001", "MEMFD3020"]);
    const cut = report(text, { maxStates: 20 });
    assert.equal(cut.verdict, "incomplete");
    assert.deepEqual(codes(cut), ["MEMFD6001"]);
  });
  it("an expected violation that a cut run has not met is not missing yet", () => {
    const text = `${RACE}expect violation no-stale-mapping\n`;
    assert.deepEqual(codes(report(text)), ["MEMFD3010"]);
    assert.deepEqual(codes(report(text, { maxStates: 20 })), ["MEMFD6001"]);
  });
});

describe("not modelled", () => {
  for (const [line, kernel] of [
    ["madvise(NULL, 4K, MADV_PAGEOUT)", "v8"],
    ['memfd_create("huge", MFD_INACCESSIBLE|MFD_HUGETLB) @call', "v4"],
    ["mmap(NULL, 4K, PROT_READ, MAP_SHARED|MAP_FIXED, mem, 0)", "v8"],
  ] as const) {
    it(`${line} under ${kernel}`, () => {
      const one = program(`kernel ${kernel}\nmem = memfd_create("mem", 0)\n${line}\n`);
      const judged = check(one, { now: still });
      assert.equal(judged.verdict, "incomplete");
      assert.deepEqual(
        judged.remarks.map(({ code, severity, site }) => ({ code, severity, site })),
        [{ code: "MEMFD5091", severity: "warning", site: one.calls[1].site }],
      );
    });
  }
  it("a question without an answer stands where it was asked", () => {
    const one = program('kernel v8\nmem = memfd_create("mem", 0)\nassert 1 / pages(mem) == 0\n');
    const judged = check(one, { now: still });
    assert.deepEqual(codes(judged), ["MEMFD3023"]);
    assert.notEqual(judged.remarks[0].site, one.site);
  });
});

describe("size is free", () => {
  // In pages: the byte offsets that v8 takes for page numbers lie inside a slot of 1 TiB and outside one of 16 MiB.
  const sized = (size: string): string => `kernel v8-pages extends v8 { notifier_units = pages }
kernel v8-pages
ram = memfd_create("ram", MFD_INACCESSIBLE); ftruncate(ram, ${size}); fallocate(ram, 0, 0, ${size})
mem = memfd_create("mem", 0); ftruncate(mem, ${size}); map = mmap(NULL, ${size}, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 0)
vm = KVM_CREATE_VM(0); vcpu0 = KVM_CREATE_VCPU(vm, 0)
KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=KVM_MEM_PRIVATE, guest_phys_addr=4K, memory_size=${size}, userspace_addr=map, private_fd=ram, private_offset=0) = 0
parallel { vmm { fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 8K, 4K); KVM_MEMORY_ENCRYPT_UNREG_REGION(vm, 4K, ${size}) }
vcpu0 { load(0x3000); load(SHARED|0x1000) } }
exists pages(ram) > 0
`;
  const counts = (text: string): unknown =>
    onMachine(text, (machine) => ({
      words: machine.words,
      files: machine.files.map((file) => file.frames.length),
      vms: machine.vms.map((vm) => vm.cells.count),
      mappings: machine.mappings.map((mapping) => mapping.mapped.length),
    }));
  it("1 TiB has as many cells, words and states as 16 MiB, and the same answers", () => {
    assert.deepEqual(counts(sized("1T")), counts(sized("16M")));
    const [small, large] = [report(sized("16M")), report(sized("1T"))];
    assert.ok(small.exploration.complete);
    assert.equal(large.exploration.states, small.exploration.states);
    assert.equal(large.verdict, small.verdict);
    assert.deepEqual(
      large.calls.map((call) => call.results.map((outcome) => outcome.result)),
      small.calls.map((call) => call.results.map((outcome) => outcome.result)),
    );
    assert.deepEqual(
      large.violations.map(({ invariant, call, step }) => ({ invariant, call, step })),
      small.violations.map(({ invariant, call, step }) => ({ invariant, call, step })),
    );
  });
});
