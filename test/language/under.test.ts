// One scenario under other kernels than it names: the same Program as if it named them, one kernel's gaps do not touch another, spans stay where they are.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { analyse } from "../../src/language/index.ts";
import { kernelsOf, underKernel } from "../../src/language/under.ts";
import { profiles } from "../../src/scenario/catalogue/index.ts";
import { programKey } from "../../src/server/key.ts";

const SCENARIOS = join(import.meta.dirname, "../../scenarios");
const read = (text: string) => analyse("a.memfd", text, { imports: () => undefined });

test("under a kernel that it names a scenario is the Program that it is anyway, sites included", () => {
  let compared = 0;
  for (const name of readdirSync(SCENARIOS, { recursive: true, encoding: "utf8" }).filter((entry) => entry.endsWith(".memfd"))) {
    const analysis = analyse(name, readFileSync(join(SCENARIOS, name), "utf8"), { imports: () => undefined });
    for (const program of analysis.programs) {
      const again = underKernel(analysis, program.name, program.profile.name).program;
      assert.ok(again, `${program.name} in ${name}`);
      assert.equal(programKey(again), programKey(program));
      const spans = (one: typeof program) => one.calls.map((call) => one.sites[call.statement]);
      assert.deepEqual(spans(again), spans(program));
      compared += 1;
    }
  }
  assert.ok(compared > 20);
});

test("the kernels of a text: modelled rows oldest first, its variants behind them, aliases left out", () => {
  const { modelled, unmodelled } = kernelsOf(read("kernel v8\nkernel b extends a { }\nkernel a extends v8 { }\nkernel later extends 6.18 { }\nf()\n"));
  const rows = profiles.filter((row) => row.name !== "mainline");
  const known = rows.filter((row) => row.modelled).map((row) => row.name);
  assert.deepEqual(modelled.slice(0, known.length), known);
  assert.ok(modelled.indexOf("b") >= known.length && modelled.includes("a"));
  assert.ok([...modelled, ...unmodelled].includes("later"), "a variant is as modelled as its base");
  assert.ok(![...modelled, ...unmodelled].includes("mainline"));
  assert.equal(modelled.length + unmodelled.length, rows.length + 3);
});

test("a constant that one kernel lacks is that kernel's finding alone; `on` means what it means there", () => {
  const analysis = read(
    'kernel v4\nscenario "s" {\n  fd = memfd_create("x", 0)\n  fcntl(fd, F_ADD_SEALS, F_SEAL_INACCESSIBLE)\n  on v8 { check no-stale-mapping }\n}\n',
  );
  const v8 = underKernel(analysis, "s", "v8");
  assert.equal(v8.program, undefined);
  assert.deepEqual(
    v8.findings.map((finding) => [finding.code, analysis.text.slice(finding.span.from, finding.span.to)]),
    [["MEMFD5002", "F_SEAL_INACCESSIBLE"]],
  );
  const v4 = underKernel(analysis, "s", "v4");
  assert.deepEqual([v4.findings, v4.program?.watch.only], [[], undefined]);
  const other = read('scenario "s" {\n  kernel v4\n  fd = memfd_create("x", 0)\n  on v8 { check no-stale-mapping }\n}\n');
  assert.deepEqual(underKernel(other, "s", "v8").program?.watch.only, ["no-stale-mapping"]);
});

test("bare files, unknown names and broken text have answers", () => {
  const bare = read("kernel v8\nclose(-1)\n");
  assert.equal(underKernel(bare, "a", "v4").program?.profile.name, "v4");
  assert.deepEqual(underKernel(bare, "nobody", "v4"), { kernel: "v4", findings: [] });
  assert.equal(underKernel(bare, "a", "v99").program, undefined);
  assert.ok(underKernel(bare, "a", "v99").findings.length > 0);
  const broken = read('scenario "s" {\n  nonsense(1)\n}\n');
  assert.equal(underKernel(broken, "s", "v8").program, undefined);
  assert.ok(underKernel(broken, "s", "v8").findings.length > 0);
});
