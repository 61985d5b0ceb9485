import { readFileSync } from "node:fs";
import { programsOf, runModel } from "./model.ts";
for (const p of programsOf("x", readFileSync(process.argv[2], "utf8"))) { const r = runModel(p); console.log(p.name, r.problem, r.limit); r.answers.forEach((a, i) => console.log("  ", p.calls[i].spec, a)); }
