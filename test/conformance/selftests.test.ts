// The assertions of the kernel's selftests as scenarios (selftests/*.memfd): each through the model, and call by call on the kernel of this machine where it
// is the one that they are about. What cannot run here is counted with its reason.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Report } from "../../src/check/report.ts";
import { type Compared, compareAnswers } from "../../src/export/c/compare.ts";
import { thisMachine } from "../../src/export/c/machine.ts";
import type { Program } from "../../src/scenario/program.ts";
import { emit, noKvm, noRun, programsOf, run, skipped, withBuilt } from "../export/support.ts";
import { abilities } from "./machine.ts";

const KERNEL = "6.18";
const FOLDER = join(import.meta.dirname, "selftests");

interface Case {
  readonly program: Program;
  readonly text: string;
  readonly report: Report;
}

/** Cases that need what the model does not have yet; as soon as it has, they have to pass as all others. */
const NOT_MODELLED: readonly RegExp[] = [/^guest_memfd_test: test_collapse$/];
const notModelled = ({ program, report }: Case): string | undefined =>
  NOT_MODELLED.some((name) => name.test(program.name)) && !report.exploration.complete ? report.exploration.limit : undefined;

const casesOf = (file: string): readonly Case[] => {
  const text = readFileSync(join(FOLDER, file), "utf8");
  return programsOf(file, text).map((program) => ({ program, text, report: run(program) }));
};

const FILES = readdirSync(FOLDER)
  .filter((file) => file.endsWith(".memfd"))
  .sort();
const SELFTESTS = [
  "guest_memfd_test",
  "memfd_test-hugetlbfs",
  "memfd_test",
  "pre_fault_memory_test",
  "private_mem_conversions_test",
  "private_mem_kvm_exits_test",
  "set_memory_region_test",
];

const known = new Map<string, readonly Case[]>();
const cases = (file: string): readonly Case[] => known.get(file) ?? known.set(file, casesOf(file)).get(file)!;

test("every selftest that the reference restates has its file, and every scenario the name of its test", () => {
  assert.deepEqual(FILES.map((file) => file.slice(0, -".memfd".length)).sort(), [...SELFTESTS].sort());
  for (const file of FILES) {
    const name = file.slice(0, -".memfd".length).replace("-", " ");
    for (const { program } of cases(file)) {
      assert.ok(program.name.startsWith(`${name}: `), `${file}: ${program.name}`);
      assert.equal(program.profile.name, KERNEL, program.name);
      const untested = program.calls.filter((call) => call.expect === undefined).length;
      assert.equal(untested, 0, `${program.name}: ${untested} calls say nothing of their results`);
    }
  }
});

for (const file of FILES) {
  test(`the model passes the assertions of ${file}`, () => {
    for (const each of cases(file)) {
      const { program, report } = each;
      const missing = notModelled(each);
      if (missing !== undefined) {
        console.log(`skipped: ${program.name}: ${missing}`);
        continue;
      }
      const wrong = report.remarks.filter((remark) => remark.severity !== "information").map(({ code, message }) => `${code} ${message}`);
      assert.deepEqual({ verdict: report.verdict, complete: report.exploration.complete, wrong }, { verdict: "pass", complete: true, wrong: [] }, program.name);
    }
  });
}

const total = { scenarios: 0, agreed: 0, skipped: 0 };
after(() => console.log(`selftests: ${total.agreed} calls and conditions of ${total.scenarios} scenarios agree with this kernel, ${total.skipped} skipped`));

/** Selftests of which little is left on a machine without private memory. */
const NEEDS_MORE = /^(private_mem|pre_fault)/;

function noEmptyPool(): string | undefined {
  const pages = readFileSync("/proc/sys/vm/nr_hugepages", "utf8").trim();
  return pages === "0" ? undefined : `the pool has ${pages} huge pages`;
}

for (const file of FILES) {
  test(`this kernel agrees with the model: ${file}`, async (context) => {
    const needsKvm = !file.startsWith("memfd_test");
    const [major, minor] = abilities().release;
    const otherKernel = `${major}.${minor}` === KERNEL ? undefined : `the scenarios are about ${KERNEL}, this machine runs ${thisMachine.release()}`;
    const lacks = (needsKvm ? noKvm() : undefined) ?? (file.includes("hugetlbfs") ? noEmptyPool() : undefined);
    if (skipped(context, noRun() ?? abilities().noCompare ?? otherKernel ?? lacks)) return;
    const able = cases(file).filter((each) => notModelled(each) === undefined);
    const emitted = able.map(({ program, text, report }) => emit(program, text, { report }));
    await withBuilt(
      emitted.map((each) => each.text),
      ({ messages, run: execute }) => {
        assert.equal(messages, "");
        const compared = able.map(({ program, report }, at) =>
          compareAnswers(program, report, emitted[at], { output: execute(at).output }, thisMachine.facts()),
        );
        tell(file, compared);
        const differ = compared.flatMap((each, at) =>
          each.rows
            .filter((row) => row.agreement === "differs" || row.agreement === "deviates")
            .map((row) => `"${able[at].program.name}": ${row.title}: model ${row.model}, kernel ${row.machine}`),
        );
        assert.deepEqual(differ, []);
        for (const [at, each] of compared.entries())
          assert.ok(each.agreed > 0 || NEEDS_MORE.test(file) || each.skipped === each.rows.length, `${able[at].program.name}: nothing was compared`);
        if (!NEEDS_MORE.test(file)) assert.ok(sum(compared, "agreed") > 80, `${file}: only ${sum(compared, "agreed")} calls were compared`);
      },
      ["-O0"],
    );
  });
}

const sum = (compared: readonly Compared[], of: "agreed" | "skipped"): number => compared.reduce((all, each) => all + each[of], 0);

function tell(file: string, compared: readonly Compared[]): void {
  const agreed = sum(compared, "agreed");
  total.scenarios += compared.filter((each) => each.agreed > 0).length;
  total.agreed += agreed;
  total.skipped += sum(compared, "skipped");
  console.log(`${file}: ${agreed} calls and conditions of ${compared.length} scenarios agree, ${sum(compared, "skipped")} skipped`);
  const reasons = new Map<string, number>();
  for (const { note, agreement } of compared.flatMap((each) => each.rows))
    if (agreement === "skipped" || agreement === "not judged") reasons.set(note ?? "", (reasons.get(note ?? "") ?? 0) + 1);
  for (const [reason, times] of reasons) console.log(`  skipped ${times}: ${reason}`);
}
