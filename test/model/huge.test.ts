// hugetlbfs with a pool: pages of 2 MiB that files share, rounding of fallocate, and what is given back. A machine with huge pages is not at hand, so the rules
// are those of fs/hugetlbfs/inode.c.

import assert from "node:assert/strict";
import { it } from "node:test";
import { answers, assertJudged, program, report } from "./support.ts";

/** Results of all calls, in order. */
function results(lines: readonly string[], pool = 2): string[] {
  const text = `kernel 6.18\nmachine { hugepages_2M = ${pool} }\n${lines.join("\n")}\n`;
  const judged = report(text);
  assertJudged(judged, text);
  assert.ok(judged.exploration.complete, judged.exploration.limit);
  const one = program(text);
  return one.calls.map((_, id) => answers(one, judged, id));
}

const FILE = 'h = memfd_create("h", MFD_HUGETLB|MFD_ALLOW_SEALING)';

it("an allocation rounds outward to huge pages, a hole inward, and i_size is not rounded", () => {
  assert.deepEqual(
    results([FILE, "fallocate(h, 0, 1M, 2M)", "fstat(h, st_blocks)", "fstat(h, st_size)", "fallocate(h, 3, 1, 4M)", "fstat(h, st_blocks)"]).slice(1),
    ["0", "8K", "3M", "0", "4K"],
  );
});

it("without a page left it is ENOSPC, what was added before stays, and the size does not move", () => {
  assert.deepEqual(
    results([FILE, "fallocate(h, 0, 0, 6M)", "fstat(h, st_blocks)", "fstat(h, st_size)", "fallocate(h, 0, 4M, 1)", "fallocate(h, 0, 0, 4M)"]).slice(1),
    ["-ENOSPC", "8K", "0", "-ENOSPC", "0"],
  );
});

it("files of one size share the pool; a hole, a smaller size and the last close give pages back", () => {
  const other = 'i = memfd_create("i", MFD_HUGETLB)';
  const ask = "fallocate(i, 0, 0, 2M)";
  for (const give of ["fallocate(h, 3, 0, 2M)", "ftruncate(h, 2M)", "close(h)"])
    assert.deepEqual(results([FILE, other, "fallocate(h, 0, 0, 4M)", ask, give, ask]).slice(2), ["0", "-ENOSPC", "0", "0"], give);
});

it("two threads that race for the last page: one of them gets it", () => {
  const text = `kernel 6.18
machine { hugepages_2M = 1 }
${FILE}
i = memfd_create("i", MFD_HUGETLB)
parallel {
  vmm { fallocate(h, 0, 0, 2M) @one }
  other { fallocate(i, 0, 0, 2M) @two }
}
exists result(one) == 0
exists result(two) == 0
never result(one) == 0 && result(two) == 0
never result(one) != 0 && result(two) != 0
`;
  for (const reduce of [true, false]) {
    const judged = report(text, { reduce });
    assert.equal(judged.verdict, "pass", JSON.stringify(judged.remarks));
  }
});

it("a mapping of a file whose machine has huge pages is not modelled", () => {
  const judged = report(`kernel 6.18\nmachine { hugepages_2M = 1 }\n${FILE}\nftruncate(h, 2M)\nm = mmap(NULL, 2M, PROT_READ, MAP_SHARED, h, 0)\n`);
  assert.ok(!judged.exploration.complete && judged.remarks.some(({ message }) => /reservations .* not modelled/.test(message)));
});
