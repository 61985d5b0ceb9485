import { compare, showComparison, showDifference } from "./compare.ts";
import { explain } from "./differences.ts";
import { KVM_TABLES as TABLES } from "./kvm-tables.ts";
for (const t of TABLES) { const r = compare("t.memfd", t.text, { explain }); console.log(showComparison(t.name, r), r.limited);
 for (const d of r.differences.slice(0, 6)) console.log(showDifference(d));
 for (const p of r.problems.slice(0, 8)) console.log("PROBLEM", p.program.name, p.program.profile.name, p.problem); }
