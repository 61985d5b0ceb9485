import fc from "fast-check";
import { compare, showComparison, showDifference } from "/work/main/test/conformance/compare.ts";
import { explain } from "/work/main/test/conformance/differences.ts";
import * as g from "/work/main/test/conformance/generate.ts";
const [which, n, seed, kernels = "v8,v4", max = "6"] = process.argv.slice(2);
const programs = fc.sample((g as any)[which + "Programs"], { numRuns: +n, seed: +seed }) as g.Lines[];
const t = performance.now();
const r = compare("t.memfd", g.scenarioText(programs, kernels.split(",")), { explain });
console.log(showComparison(which, r), Math.round(performance.now() - t), "ms");
const seen = new Map<string, any[]>();
for (const d of r.differences) { const k = `${d.program.calls[d.call].spec} ${d.model} vs ${d.machine} [${d.program.profile.name}]`; seen.set(k, [...(seen.get(k) ?? []), d]); }
for (const [k, v] of [...seen].slice(0, 40)) console.log(v.length, k);
for (const [k, v] of [...seen].slice(0, +max)) { v.sort((a, b) => a.call - b.call); console.log("-----", k); console.log(showDifference(v[0])); }
const ps = new Map<string, number>(); for (const p of r.problems) { ps.set(p.problem.slice(0, 200), (ps.get(p.problem.slice(0, 200)) ?? 0) + 1); } for (const [k, v] of ps) console.log("PROBLEM", v, k, "e.g.", r.problems.find(p => p.problem.slice(0,200) === k)!.program.name);
if (process.env.REACHED) console.log([...r.reached].sort().map(([k, v]) => `${k} ${v}`).join("\n"));
