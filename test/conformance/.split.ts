import fc from "fast-check";
import * as g from "/work/main/test/conformance/generate.ts";
import { programsOf, runModel } from "/work/main/test/conformance/model.ts";
import { runOnMachine } from "/work/main/test/conformance/machine.ts";
for (const which of ["file", "slot", "guest"]) {
  const programs = fc.sample((g as any)[which + "Programs"], { numRuns: 100, seed: 5 }) as g.Lines[];
  let t = performance.now(); const lap = (s: string) => { const n = performance.now(); console.log(which, s, Math.round(n - t)); t = n; };
  const ps = programsOf("a", g.scenarioText(programs, ["v8"])); lap("analyse");
  ps.forEach((p) => runModel(p)); lap("model");
  runOnMachine(ps); lap("machine");
}
