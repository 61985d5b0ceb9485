// The footprints of memfd calls under a mainline kernel, and that reductions lose none of their answers: random threads on one executable, sealable file.

import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { check } from "../../src/check/index.ts";
import { resultKey } from "../../src/model/intern.ts";
import { program, still } from "./support.ts";
import { assertDeclared } from "./watching.ts";

const SETUP = `
  mem = memfd_create("mem", MFD_ALLOW_SEALING|MFD_EXEC)
  ftruncate(mem, 8K) = 0
  read_only = open_fd(mem, O_RDONLY)
  map = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 0)
  own = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_PRIVATE, mem, 0)
`;

const CALLS = [
  "fcntl(mem, F_ADD_SEALS, F_SEAL_EXEC)",
  "fcntl(mem, F_ADD_SEALS, F_SEAL_WRITE)",
  "fcntl(mem, F_ADD_SEALS, F_SEAL_FUTURE_WRITE)",
  "fcntl(mem, F_GET_SEALS)",
  "fchmod(mem, 0o666)",
  "fchmod(mem, 0o777)",
  "pwrite(mem, 0x41 * 8, 4092)",
  "pread(read_only, 8, 4092)",
  "read(mem, 4)",
  "lseek(mem, 0, SEEK_DATA)",
  "lseek(mem, 4K, SEEK_HOLE)",
  "lseek(mem, -1, SEEK_END)",
  "ftruncate(mem, 4K)",
  "fallocate(mem, 0, 0, 4K)",
  "fallocate(mem, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 8K)",
  "open_fd(mem, O_RDWR|O_TRUNC)",
  "open_fd(mem, O_PATH)",
  "mmap(NULL, 4K, PROT_READ, MAP_SHARED, mem, 0)",
  "mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 4K)",
  "mmap(NULL, 4K, PROT_READ, MAP_SHARED, read_only, 0)",
  "munmap(map, 8K)",
  "mprotect(map, 8K, PROT_READ)",
  "mprotect(map, 4K, PROT_NONE)",
  "mprotect(map, 8K, PROT_READ|PROT_WRITE)",
  "mprotect(own, 4K, PROT_READ)",
  "madvise(map, 8K, MADV_DONTNEED)",
  "madvise(own, 8K, MADV_DONTNEED)",
  "madvise(map, 8K, MADV_REMOVE)",
  "madvise(map, 8K, MADV_WILLNEED)",
  "load(map, 0)",
  "store(map, 4K, 0x42)",
  "store(own, 0, 0x43)",
  "load(own, 4K)",
  "close(mem)",
  "fcntl(mem, F_GETFD)",
  "fcntl(mem, F_SETFD, FD_CLOEXEC)",
  "fcntl(mem, F_GETFL)",
  "fcntl(mem, F_SETFL, O_APPEND)",
  "fcntl(mem, F_SETFL, 0)",
  'write(mem, "z")',
  "fstat(mem, st_size)",
  "fstat(mem, st_blocks)",
  "fstat(mem, st_mode)",
  "fstatfs(mem, f_type)",
  "mincore(map, 8K)",
  "mincore(own, 4K)",
  "madvise(map, 8K, MADV_POPULATE_READ)",
  "madvise(own, 8K, MADV_POPULATE_WRITE)",
  "mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_POPULATE, mem, 0)",
  "pipe2(0)",
  "memfd_secret(0)",
  'open("/dev/null", O_RDWR)',
];

/** A pipe is one thread's alone. */
const PIPE_SETUP = `
  p = pipe2(0)
  w = open_fd(p, O_WRONLY)
`;
const PIPE_CALLS = [
  "splice(mem, 0, w, NULL, 8K, SPLICE_F_NONBLOCK)",
  "splice(mem, NULL, w, NULL, 100, 0)",
  "vmsplice(w, map, 4K, 0)",
  "vmsplice(w, own + 100, 8, 0)",
  "read(p, 4K)",
  "fcntl(w, F_ADD_SEALS, 0)",
];

const KERNELS = ["6.18", "6.18.0"];

const thread = (calls: readonly string[]): fc.Arbitrary<string[]> => fc.array(fc.constantFrom(...calls), { minLength: 1, maxLength: 2 });
const blocks = fc.oneof(
  { weight: 3, arbitrary: fc.array(thread(CALLS), { minLength: 2, maxLength: 3 }) },
  { weight: 1, arbitrary: fc.tuple(thread(PIPE_CALLS), thread(CALLS)) },
);
/** A page fault without free memory has no answer here. */
const isAccess = (call: string): boolean => /^(load|store|vmsplice)|POPULATE/.test(call);
const usesPipe = (call: string): boolean => PIPE_CALLS.includes(call);
const textOf = (kernel: string, threads: readonly (readonly string[])[]): string =>
  `scenario "random" {\n  kernel ${kernel}\n${threads.flat().some(isAccess) ? "" : "  machine { frames = 1 }\n"}${SETUP}${threads.flat().some(usesPipe) ? PIPE_SETUP : ""}  parallel {\n${threads.map((calls, at) => `    t${at} { ${calls.join("; ")} }`).join("\n")}\n  }\n}\n`;

it("each step touches only the atoms that it declares, and goes on where it declares", () => {
  const texts = fc.tuple(fc.constantFrom(...KERNELS), blocks).map(([kernel, threads]) => textOf(kernel, threads));
  assertDeclared(texts, { maxStates: 1500, numRuns: 120 });
});

it("with and without reductions the calls answer the same, and the same invariants break", () => {
  fc.assert(
    fc.property(fc.constantFrom(...KERNELS), blocks, (kernel, threads) => {
      const one = program(textOf(kernel, threads));
      const [reduced, whole] = [true, false].map((reduce) => {
        const { calls, violations, exploration } = check(one, { now: still, reduce });
        assert.ok(exploration.complete, exploration.limit);
        return {
          calls: calls.map(({ results }) => results.map(({ result }) => resultKey(result)).sort()),
          violations: [...new Set(violations.map(({ invariant, subject }) => `${invariant} ${subject}`))].sort(),
        };
      });
      assert.deepEqual(reduced, whole);
    }),
    { numRuns: 200 },
  );
});
