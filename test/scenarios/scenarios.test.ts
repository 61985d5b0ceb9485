// Every scenario that ships: it is well formed, it passes, everything in it is reached, and a changed kernel makes it fail.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeSchedule } from "../../src/explore/schedule.ts";
import { printCall } from "../../src/scenario/print.ts";
import { analysed, checked, memfd, pathOf, SCENARIO_FILES, textOf } from "./engine.ts";

/** Files that must be there, and what the two mails ask of them. */
const ANSWERS: readonly { file: string; scenario: RegExp; kernel: string; violations: readonly string[] }[] = [
  { file: "series/v4-seal-mask.memfd", scenario: /^the seal is never set/, kernel: "v4", violations: ["inaccessible-marked memfd_create.install_fd"] },
  { file: "series/v4-seal-mask.memfd", scenario: /^with pread/, kernel: "v4", violations: ["private-inaccessible pread.read_page"] },
  { file: "series/v4-seal-mask.memfd", scenario: /^\|= in place of &=/, kernel: "v4-or", violations: [] },
  { file: "series/v8-punch-window.memfd", scenario: /^between the punch/, kernel: "v8-pages", violations: ["no-stale-mapping fallocate.truncate"] },
  {
    file: "series/v8-punch-window.memfd",
    scenario: /^the order alone/,
    kernel: "v8-reordered",
    violations: ["no-stale-mapping fallocate.truncate", "no-stale-mapping load.map"],
  },
  { file: "series/v8-punch-window.memfd", scenario: /^begin and end/, kernel: "v8-bracketed", violations: [] },
];

describe("scenarios", () => {
  for (const file of SCENARIO_FILES) {
    it(`${file} has no finding, and each scenario passes with all interleavings explored`, () => {
      const { findings, programs, outline } = analysed(file);
      assert.deepEqual(findings, []);
      assert.ok(outline.length > 0, "no scenario");
      assert.equal(
        programs.length,
        outline.reduce((sum, entry) => sum + Math.max(1, entry.kernels.length), 0),
        "some kernel is not run",
      );
      for (const program of programs) {
        const report = checked(program);
        const name = `"${program.name}" under ${report.kernel}`;
        assert.deepEqual(report.remarks, [], name);
        assert.deepEqual(
          report.violations.filter((violation) => !violation.expected).map((violation) => `${violation.invariant}: ${violation.message}`),
          [],
          name,
        );
        assert.equal(report.verdict, "pass", name);
        assert.ok(report.exploration.complete, name);
        report.calls.forEach((call, id) => assert.ok(call.results.length > 0, `${name}: no interleaving answers ${printCall(program, id)}`));
      }
    });

    it(`${file} says in its first comment what it shows, and from where`, () => {
      const comment = /^(?:\/\/[^\n]*\n)+/.exec(textOf(file))?.[0] ?? "";
      assert.ok(comment.split("\n").length > 3, "it begins with a comment of a few lines");
      if (file.startsWith("series/")) assert.match(comment, /\[PATCH v\d+ \d+\/\d+\]/);
      else if (file.startsWith("guest_memfd/")) assert.match(comment, /^\/\/ Sources: (?:virt\/kvm|Linux)/m);
      else if (/^(?:host|lib|tdx)\//.test(file)) assert.match(comment, /^\/\/ Sources: /m);
      else if (!file.startsWith("bugs/")) assert.match(comment, /^\/\/ Tutorial \d: /); // gallery.test.ts asks more of bugs/
    });

    it(`${file} is laid out as \`memfd format\` does it, in 140 columns`, async () => {
      const { status, out, error } = await memfd("format", "--check", pathOf(file));
      assert.deepEqual({ status, out, error }, { status: 0, out: "", error: "" });
      assert.deepEqual(
        textOf(file)
          .split("\n")
          .filter((line) => line.length > 140),
        [],
      );
    });
  }

  it("a whole folder passes on the command line", async () => {
    const { status, out } = await memfd("check", pathOf());
    assert.equal(status, 0);
    assert.match(out, /\npass: \d+ scenarios, every interleaving explored\n$/);
  });
});

describe("the answers to the two mails", () => {
  for (const { file, scenario, kernel, violations } of ANSWERS) {
    it(`${file} under ${kernel}: ${scenario.source} → ${violations.join(", ") || "no violation"}`, () => {
      const program = analysed(file).programs.find((each) => scenario.test(each.name));
      assert.equal(program?.profile.name, kernel);
      const report = checked(program!);
      const found = report.violations.map((each) => `${each.invariant} ${program!.calls[each.call].spec.replace("guest.", "")}.${each.step}`);
      assert.deepEqual([...new Set(found)].sort(), [...violations].sort());
      for (const violation of report.violations) assert.equal(violation.story.steps.at(-1)?.step, violation.step, encodeSchedule(violation.story.schedule));
    });
  }
});

/** A text with one thing changed, and what must then be said of it: a scenario that passes whatever the kernel does shows nothing. */
const CHANGES: readonly { file: string; from: string | RegExp; to: string; code: string }[] = [
  { file: "series/v4-seal-mask.memfd", from: "set_marker = or", to: "set_marker = and", code: "MEMFD3001" },
  { file: "series/v4-seal-mask.memfd", from: "kernel v4\n", to: "kernel v4-or\n", code: "MEMFD3010" },
  { file: "series/v4-base-gfn.memfd", from: "notifier_base_gfn = added", to: "notifier_base_gfn = missing", code: "MEMFD3001" },
  {
    file: "series/v8-punch-window.memfd",
    from: "check_alignment, invalidate, truncate",
    to: "check_alignment, invalidate_begin, truncate, invalidate_end",
    code: "MEMFD3010",
  },
  {
    file: "series/v8-punch-window.memfd",
    from: "check_alignment, invalidate_begin, truncate, invalidate_end",
    to: "check_alignment, truncate, invalidate",
    code: "MEMFD3010",
  },
  { file: "series/v8-punch-window.memfd", from: "notifier_units = pages", to: "notifier_units = bytes", code: "MEMFD3022" },
  { file: "series/v8-conversion.memfd", from: "KVM_MEMORY_ENCRYPT_UNREG_REGION without invalidate", to: "notifier_seq = moves", code: "MEMFD3010" },
  {
    file: "series/v8-alignment.memfd",
    from: "kernel v8\n",
    to: "kernel v8-any extends v8 { fallocate.punch_hole without check_alignment }\nkernel v8-any\n",
    code: "MEMFD3001",
  },
  { file: "series/v5-flag.memfd", from: "notifier_base_gfn = added; notifier_seq = moves", to: "notifier_base_gfn = added", code: "MEMFD3022" },
  { file: "series/v6-node-flags.memfd", from: "notifier_start = clamped", to: "notifier_start = underflows", code: "MEMFD3001" },
  { file: "series/v7-conversion.memfd", from: "conversion_store = per_gfn", to: "conversion_store = multi_index", code: "MEMFD3024" },
  { file: "series/v9-restricted.memfd", from: "notifier_units = pages", to: "notifier_units = bytes", code: "MEMFD3022" },
  { file: "series/v10-attributes.memfd", from: "entry_memory = may_run_out", to: "entry_memory = enough", code: "MEMFD3020" },
  { file: "series/v10-attributes.memfd", from: "without unmap_end", to: "without report_progress", code: "MEMFD3010" },
  { file: "guest_memfd/conversion.memfd", from: "reserve, store, invalidate_begin", to: "reserve, invalidate_begin, store", code: "MEMFD3010" },
  { file: "guest_memfd/life-cycle.memfd", from: "on 6.8.0, 6.16 {", to: "on 6.8.0, 6.8, 6.16 {", code: "MEMFD3010" },
  {
    file: "guest_memfd/mapped-file.memfd",
    from: "GUEST_MEMFD_FLAG_MMAP|GUEST_MEMFD_FLAG_INIT_SHARED",
    to: "GUEST_MEMFD_FLAG_MMAP",
    code: "MEMFD3001",
  },
  { file: "tutorial/03-a-race.memfd", from: "order a before b\n", to: "", code: "MEMFD3022" },
  {
    file: "tutorial/03-a-race.memfd",
    from: "atomic { load(map, 0) = 1 or 2 @x; load(map, 0) = 1 or 2 @y }",
    to: "load(map, 0) @x; load(map, 0) @y",
    code: "MEMFD3022",
  },
  { file: "tutorial/04-what-if-this-line-moved.memfd", from: "fallocate.punch_hole without invalidate", to: "notifier_units = pages", code: "MEMFD3020" },
];

describe("a changed kernel is noticed", () => {
  for (const { file, from, to, code } of CHANGES) {
    it(`${file}: ${JSON.stringify(from)} → ${JSON.stringify(to)} is ${code}`, () => {
      const text = textOf(file);
      const changed = text.replace(from, to);
      assert.notEqual(changed, text, "the change does not apply");
      const { findings, programs } = analysed(file, changed);
      assert.deepEqual(findings, []);
      const codes = programs.map(checked).flatMap((report) => (report.verdict === "fail" ? report.remarks.map((remark) => remark.code) : []));
      assert.ok(codes.includes(code), `it says ${[...new Set(codes)].join(", ") || "nothing"}`);
    });
  }
});

it("a terabyte takes as many states as 16 KiB, and gives the same answers", () => {
  for (const file of ["series/v4-base-gfn.memfd", "series/v8-punch-window.memfd"]) {
    const large = textOf(file).replaceAll("16K", "1T");
    const [few, many] = [analysed(file), analysed(file, large)].map(({ programs }) => programs.map(checked));
    assert.deepEqual(
      many.map((report) => [report.verdict, report.exploration.states]),
      few.map((report) => [report.verdict, report.exploration.states]),
    );
  }
});
