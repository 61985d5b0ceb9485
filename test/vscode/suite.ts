// The entry that VS Code's extension host loads as `extensionTestsPath`: runs mocha over the suites here and writes the counts for the harness.

import { writeFileSync } from "node:fs";
import { format } from "node:util";
import * as mochaModule from "mocha";

interface Unwrappable {
  readonly default?: unknown;
}

/** mocha is an ES module: what `require` gives of it wraps the class once or twice, depending on the host's Node. */
function mochaClass(): typeof Mocha {
  let found: unknown = mochaModule;
  while (typeof found !== "function" && (found as Unwrappable)?.default) found = (found as Unwrappable).default;
  return found as typeof Mocha;
}

export async function run(): Promise<void> {
  const Runner = mochaClass();
  // the workbench logs into the same console: the mark lets the harness tell the report from it
  const mark = process.env.MEMFD_SUITE_MARK ?? "";
  (Runner.reporters.Base as unknown as { consoleLog: typeof console.log }).consoleLog = (...parts) => {
    for (const line of format(...parts).split("\n")) console.log(mark + line);
  };
  const mocha = new Runner({ ui: "bdd", timeout: 30_000, slow: 5_000, color: false, reporter: "spec" });
  if (process.env.MEMFD_SUITE_GREP) mocha.fgrep(process.env.MEMFD_SUITE_GREP);
  // makes `describe` and `it` global before the suites are evaluated
  mocha.suite.emit("pre-require", globalThis as unknown as Mocha.MochaGlobals, "suite", mocha);
  await import("./extension.suite.ts");
  await import("./language.suite.ts");
  await import("./samples.suite.ts");
  await import("./reproducer.suite.ts");
  await import("./import.suite.ts");
  await import("./suggest.suite.ts");
  await import("./status.suite.ts");
  const counts = { passed: 0, failed: 0, skipped: 0, failures: [] as string[] };
  await new Promise<void>((resolve) => {
    mocha
      .run(() => resolve())
      .on("pass", () => {
        counts.passed += 1;
      })
      .on("pending", () => {
        counts.skipped += 1;
      })
      .on("fail", (test, error) => {
        counts.failed += 1;
        counts.failures.push(`${test.fullTitle()}: ${error?.message}`);
      });
  });
  const resultFile = process.env.MEMFD_SUITE_RESULT;
  if (resultFile) writeFileSync(resultFile, JSON.stringify(counts));
  if (counts.failed > 0) throw new Error(`${counts.failed} tests failed`);
}
