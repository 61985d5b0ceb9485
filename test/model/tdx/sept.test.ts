// Leaves on the secure EPT: each goes down its checks in the module's order, and of two faults at once the earlier check answers.

import { testRows } from "./rows.ts";
import { SEPT_ROWS } from "./sept.cases.ts";

testRows(SEPT_ROWS);
