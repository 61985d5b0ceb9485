// What looks at descriptors and pages, moves data and limits the process, as C: random programs compile without a warning, and this kernel answers as the
// model.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compareAnswers } from "../../src/export/c/compare.ts";
import { thisMachine } from "../../src/export/c/machine.ts";
import { scenarioText } from "../conformance/generate.ts";
import { movePrograms } from "../conformance/generate-moves.ts";
import { abilities } from "../conformance/machine.ts";
import { emit, noRun, programsOf, run, skipped, withBuilt } from "./support.ts";

const SEED = 20_221_017;

/** Several programs in one scenario, each with names of its own; the limits of one hold for the next. */
const text = scenarioText(
  [
    fc
      .sample(movePrograms, { numRuns: 12, seed: SEED })
      .flatMap((lines, at) => lines.map((line) => line.replaceAll(/\b(f|m)(\d+)\b/g, `$1_${at}_$2`).replaceAll(/\b([pw])\b/g, `$1_${at}`))),
  ],
  ["6.18"],
);

test("they run on this kernel as the model says", async (context) => {
  const [major, minor] = abilities().release;
  const other = major === 6 && minor === 18 ? undefined : "the programs are about 6.18";
  if (skipped(context, noRun() ?? abilities().noCompare ?? other)) return;
  const [program] = programsOf("moves.memfd", text);
  const report = run(program);
  assert.ok(report.exploration.complete, report.exploration.limit);
  const emitted = emit(program, text, { report });
  await withBuilt([emitted.text], ({ messages, run: execute }) => {
    assert.equal(messages, "");
    const { rows, agreed } = compareAnswers(program, report, emitted, { output: execute(0).output }, thisMachine.facts());
    const differ = rows.filter((row) => row.agreement === "differs" || row.agreement === "deviates");
    assert.deepEqual(
      differ.map((row) => `${row.title}: model ${row.model}, kernel ${row.machine}`),
      [],
    );
    assert.ok(agreed > 150, `${agreed} calls agree`);
  });
});

const c = (line: string): string => {
  const [program] = programsOf("one.memfd", `kernel 6.18\nf = memfd_create("f", 0)\nm = mmap(NULL, 8K, PROT_READ, MAP_SHARED, f, 0)\n${line}\n`);
  return (
    emit(program, line)
      .text.split("\n")
      .findLast((each) => /^\t\t.*ret|_FIELD|soft_limit/.test(each)) ?? ""
  );
};

test("one call is one readable statement", () => {
  assert.match(c("fstat(f, st_blocks)"), /STAT_FIELD\(f, st_blocks\);/);
  assert.match(c("fstatfs(f, f_type)"), /STATFS_FIELD\(f, f_type\);/);
  assert.match(c("fcntl(f, F_SETFL, O_APPEND)"), /ret\(fcntl\(f, F_SETFL, O_APPEND\)\);/);
  assert.match(c("fcntl(f, F_SETFD, FD_CLOEXEC)"), /ret\(fcntl\(f, F_SETFD, FD_CLOEXEC\)\);/);
  assert.match(c("mincore(m, 8K)"), /ret_pages\(\(void \*\)\(m\), 8192\);/);
  assert.match(c("setrlimit(RLIMIT_FSIZE, 8K)"), /soft_limit\(RLIMIT_FSIZE, 0x2000\);/);
  assert.match(c("copy_file_range(f, 4K, f, NULL, 4K)"), /ret\(copy_file_range\(f, &\(off_t\)\{ 0x1000 \}, f, NULL, 4096, 0\)\);/);
  assert.match(c("sendfile(f, f, NULL, 4K)"), /ret\(sendfile\(f, f, NULL, 4096\)\);/);
  assert.match(c("splice(f, 0, f, NULL, 4K, SPLICE_F_MOVE)"), /ret\(splice\(f, &\(off_t\)\{ 0 \}, f, NULL, 4096, SPLICE_F_MOVE\)\);/);
});

test("no file of the machine is opened but /dev/null and the directory /", () => {
  const skips = (path: string, flags: string): boolean => {
    const [program] = programsOf("open.memfd", `kernel 6.18\no = open("${path}", ${flags})\n`);
    return emit(program, "").entries[0].skipped !== undefined;
  };
  assert.deepEqual([skips("/dev/null", "O_RDWR"), skips("/", "O_RDONLY")], [false, false]);
  assert.deepEqual([skips("/etc/passwd", "O_RDWR"), skips("/tmp", "O_RDONLY"), skips("/", "O_RDWR|O_CREAT")], [true, true, true]);
});
