// The ordinary memfd of mainline kernels beyond what a machine under test can be asked: vm.memfd_noexec, memory that runs out, the order bug of F_SEAL_EXEC
// and the invariant that it breaks, and races of seals with mappings and writes.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { answers, program, report } from "./support.ts";
import { table } from "./tables.ts";

const MAINLINE = ["6.8", "6.18", "7.2"];

describe("vm.memfd_noexec", () => {
  const seals = (flags: string): string => `f = memfd_create("x", ${flags}); fcntl(f, F_GET_SEALS)`;
  // A report does not say under which kernel the bit is meant.
  const EXEC = "0x20 (F_SEAL_INACCESSIBLE or F_SEAL_AUTO_ALLOCATE or F_SEAL_EXEC)";
  table(
    "0",
    "machine { memfd_noexec = 0 }",
    [
      [seals("0"), "0x1 (F_SEAL_SEAL)"],
      [seals("MFD_EXEC"), "0x1 (F_SEAL_SEAL)"],
      [seals("MFD_NOEXEC_SEAL"), EXEC],
      ['memfd_create("x", MFD_EXEC|MFD_NOEXEC_SEAL)', "-EINVAL"],
    ],
    MAINLINE,
  );
  table(
    "1",
    "machine { memfd_noexec = 1 }",
    [
      [seals("0"), EXEC],
      [seals("MFD_CLOEXEC"), EXEC],
      [seals("MFD_ALLOW_SEALING"), EXEC],
      [seals("MFD_HUGETLB"), EXEC],
      [seals("MFD_NOEXEC_SEAL"), EXEC],
      [seals("MFD_EXEC"), "0x1 (F_SEAL_SEAL)"],
      [seals("MFD_EXEC|MFD_ALLOW_SEALING"), "0"],
      ['f = memfd_create("x", 0); fchmod(f, 0o777)', "-EPERM"],
      ['memfd_create("x", MFD_EXEC|MFD_NOEXEC_SEAL)', "-EINVAL"],
    ],
    MAINLINE,
  );
  table(
    "2",
    "machine { memfd_noexec = 2 }",
    [
      [seals("0"), EXEC],
      [seals("MFD_ALLOW_SEALING"), EXEC],
      [seals("MFD_NOEXEC_SEAL"), EXEC],
      ['memfd_create("x", MFD_EXEC)', "-EACCES"],
      ["memfd_create(NULL, MFD_EXEC)", "-EACCES"],
      ["memfd_create(NULL, MFD_EXEC|0x20)", "-EINVAL"],
      ['memfd_create("x", MFD_EXEC|MFD_NOEXEC_SEAL)', "-EINVAL"],
    ],
    MAINLINE,
  );
  it("2 before 6.6: a call that says neither is refused, and MFD_EXEC passes", () => {
    const text = (flags: string): string =>
      `kernel old extends 6.8 { memfd_noexec_2 = EINVAL }\nkernel old\nmachine { memfd_noexec = 2 }\nmemfd_create("x", ${flags})\n`;
    const answer = (flags: string): string => answers(program(text(flags)), report(text(flags)), 0);
    assert.deepEqual([answer("0"), answer("MFD_EXEC"), answer("MFD_NOEXEC_SEAL")], ["-EINVAL", "fd", "fd"]);
  });
  table("kernels of the series know no such setting", "machine { memfd_noexec = 2 }", [
    ['f = memfd_create("x", 0); fcntl(f, F_GET_SEALS)', "0x1 (F_SEAL_SEAL)"],
  ]);
});

describe("memory that runs out (machine { frames = 3 })", () => {
  const FILE = 'machine { frames = 3 }\nf = memfd_create("x", 0); fallocate(f, 0, 0, 8K)';
  table(
    "what stays of a call that fails in the middle",
    FILE,
    [
      ["fallocate(f, 0, 0, 16K)", "-ENOMEM"],
      ["fallocate(f, 0, 0, 12K)", "0"],
      ["fallocate(f, 0, 0, 1T)", "-ENOMEM"],
      ["fallocate(f, 0, 0, 16K); lseek(f, 0, SEEK_END)", "8K"],
      ["pwrite(f, 0x41 * 16384, 0)", "12288"],
      ["pwrite(f, 0x41 * 16384, 0); pwrite(f, 0x41, 12K)", "-ENOMEM"],
      ["alloc_frame(); alloc_frame()", "-ENOMEM"],
      ["fallocate(f, 3, 0, 4K); alloc_frame(); alloc_frame()", "frame"],
      ["pwrite(f, 0x41, 8K); fallocate(f, 0, 0, 16K); pread(f, 1, 8K)", '1 "A"'],
      ["m = mmap(NULL, 16K, PROT_READ, MAP_SHARED, f, 0); ftruncate(f, 16K); load(m, 8K); load(m, 12K)", "not modelled"],
    ],
    ["6.18", "v8"],
  );
  const pagesAfter = (line: string): bigint[] =>
    [0n, 1n, 2n, 3n, 4n].filter((pages) => {
      const judged = report(`kernel 6.18\nscenario "x" {\n${FILE}\n${line}\nexists pages(f) == ${pages}\n}\n`);
      return judged.verdict === "pass";
    });
  it("an allocation that fails takes back the pages that it has added, and not those that were there", () => {
    assert.deepEqual(pagesAfter("fallocate(f, 0, 0, 16K)"), [2n]);
    assert.deepEqual(pagesAfter("fallocate(f, 0, 4K, 12K)"), [2n]);
    assert.deepEqual(pagesAfter("pwrite(f, 0x41 * 16384, 0)"), [3n]);
  });
  it("the last free frame must be the one that was freed", () => {
    const judged = report(`kernel 6.18
scenario "x" {
  machine { frames = 1 }
  check frame-one-owner
  f = memfd_create("x", 0)
  pwrite(f, 0x41, 0) = 1
  close(f) = 0
  g = alloc_frame() = ok
  h = alloc_frame() = -ENOMEM
}
`);
    assert.equal(judged.verdict, "pass");
  });
});

describe("write-sealed", () => {
  const sealed = (kernel: string, lines: string): ReturnType<typeof report> => report(`${kernel}\nscenario "x" {\n${lines}\n}\n`);
  const EXECUTABLE = `  f = memfd_create("x", MFD_ALLOW_SEALING|MFD_EXEC)
  ftruncate(f, 4K) = 0
  m = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_SHARED, f, 0)`;
  const broken = (judged: ReturnType<typeof report>): string[] => judged.violations.map(({ invariant, step }) => `${invariant} at ${step}`);

  it("breaks where F_SEAL_EXEC is expanded behind the look at the mappings", () => {
    for (const kernel of ["6.8", "6.16", "6.18.0"]) {
      const judged = sealed(`kernel ${kernel}`, `${EXECUTABLE}\n  fcntl(f, F_ADD_SEALS, F_SEAL_EXEC) = 0\n  store(m, 0, 1) = 0`);
      assert.deepEqual(broken(judged), ["write-sealed at set_seals"], kernel);
    }
  });
  it("holds where it is expanded before", () => {
    for (const kernel of ["6.18", "7.2"]) {
      const judged = sealed(`kernel ${kernel}`, `${EXECUTABLE}\n  fcntl(f, F_ADD_SEALS, F_SEAL_EXEC) = -EBUSY\n  store(m, 0, 1) = 0`);
      assert.equal(judged.verdict, "pass", kernel);
    }
  });
  it("holds for FUTURE_WRITE with older mappings, also made writable later; for read-only mappings after the seal; for private ones", () => {
    const judged = sealed(
      "kernel 6.18",
      `  f = memfd_create("x", MFD_ALLOW_SEALING)
  pwrite(f, 0x41 * 4096, 0) = 4096
  old = mmap(NULL, 4K, PROT_READ, MAP_SHARED, f, 0)
  fcntl(f, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) = 0
  mprotect(old, 4K, PROT_READ|PROT_WRITE) = 0
  store(old, 0, 7) = 0
  munmap(old, 4K) = 0
  fcntl(f, F_ADD_SEALS, F_SEAL_WRITE) = 0
  look = mmap(NULL, 4K, PROT_READ, MAP_SHARED, f, 0)
  mprotect(look, 4K, PROT_WRITE) = -EACCES
  own = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_PRIVATE, f, 0)
  store(own, 0, 8) = 0
  load(look, 0) = 7`,
    );
    assert.deepEqual([judged.verdict, broken(judged)], ["pass", []]);
  });
  const RACE = (other: string): string => `  f = memfd_create("x", MFD_ALLOW_SEALING|MFD_EXEC)
  ftruncate(f, 8K) = 0
  parallel {
    vmm { fcntl(f, F_ADD_SEALS, F_SEAL_WRITE) }
    other { ${other} }
  }`;
  it("holds while a mapping, a write, a chmod or another seal comes in between, before 6.7 too", () => {
    const others = [
      "mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_SHARED, f, 0)",
      "mmap(NULL, 4K, PROT_READ, MAP_SHARED, f, 0)",
      "pwrite(f, 0x41 * 8192, 0)",
      "fcntl(f, F_ADD_SEALS, F_SEAL_WRITE|F_SEAL_GROW)",
    ];
    for (const kernel of ["6.18", "6.18.0", "v8", "v4"]) {
      for (const other of others) {
        const judged = sealed(`kernel ${kernel}`, RACE(other).replace(kernel.startsWith("v") ? "|MFD_EXEC" : "\0", ""));
        assert.deepEqual([judged.exploration.complete, broken(judged)], [true, []], `${kernel}: ${other}`);
      }
    }
  });
  it("breaks where a write does not hold the inode lock between its seal check and its data", () => {
    const judged = sealed(
      "kernel unlocked extends 6.18 { pwrite without lock_inode }\nkernel unlocked",
      `${RACE("pwrite(f, 0x41, 0)")}\n  expect violation write-sealed`,
    );
    assert.deepEqual([judged.verdict, broken(judged)], ["pass", ["write-sealed at write_chunk"]]);
  });
  it("a mapping that comes between the two halves of F_ADD_SEALS is refused, or the seal is", () => {
    const one = program(`kernel 6.18\nscenario "x" {\n${RACE("m = mmap(NULL, 4K, PROT_READ, MAP_SHARED, f, 0)")}\n}\n`);
    const judged = report(`kernel 6.18\nscenario "x" {\n${RACE("m = mmap(NULL, 4K, PROT_READ, MAP_SHARED, f, 0)")}\n}\n`);
    assert.equal(answers(one, judged, 2), "-EBUSY or 0");
    assert.match(answers(one, judged, 3), /mapping or -EPERM|-EPERM or mapping/);
  });
});
