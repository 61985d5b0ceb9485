// What somebody opens first, in the order in which it is read; the rest of scenarios/ stands below it in the list. And the text that a new scenario begins
// with.

interface Sample {
  /** Under scenarios/. */
  readonly path: string;
  readonly about: string;
}

export const SAMPLES: readonly Sample[] = [
  { path: "tutorial/01-calls-and-results.memfd", about: "calls, and what stands behind them" },
  { path: "tutorial/02-seals-and-expectations.memfd", about: "seals, flags, and what you may expect" },
  { path: "tutorial/03-a-race.memfd", about: "actors at the same time, and their order" },
  { path: "tutorial/04-what-if-this-line-moved.memfd", about: "a kernel with its steps in another order" },
  { path: "tutorial/05-two-processes.memfd", about: "fork, descriptors that are passed, the end of a process" },
  { path: "series/v8-punch-window.memfd", about: "[PATCH v8 1/8]: the window between the hole punch and the invalidation" },
  { path: "series/v4-seal-mask.memfd", about: "[PATCH v4 02/12]: a seal that is never set" },
  { path: "guest_memfd/life-cycle.memfd", about: "guest_memfd, from its creation to its last page" },
  { path: "tdx/worked-example.memfd", about: "the life of a TD, every value asserted" },
  { path: "tdx/remove-accept-access.memfd", about: "a page leaves a TD while one vCPU accepts it and another reads it" },
];

export const NEW_SCENARIO = `kernel 6.18

scenario "who reads what is left of a hole?" {
  ram = memfd_create("ram", 0)
  ftruncate(ram, 8K)
  pwrite(ram, "a", 0)
  parallel {
    vmm    { fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K) }
    reader { pread(ram, 1, 0) }
  }
}
`;
