// The catalogue of diagnostics: one row per code that any stage emits, with the smallest text that triggers it.

import { invariantRows } from "./diagnostics/invariants.ts";
import { nameRows } from "./diagnostics/names.ts";
import { expectationRows, runRows } from "./diagnostics/run.ts";
import { textRows } from "./diagnostics/text.ts";
import type { DiagnosticRow } from "./diagnostics/types.ts";

export type { DiagnosticRow };

/** In the order of their codes. */
export const diagnostics: readonly DiagnosticRow[] = [...textRows, ...nameRows, ...expectationRows, ...invariantRows, ...runRows];
