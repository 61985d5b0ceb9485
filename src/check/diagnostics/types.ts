// The shape of a row of the catalogue of diagnostics.

import type { Severity } from "../../base/finding.ts";

export interface DiagnosticRow {
  readonly code: string;
  /** What it is unless the message says otherwise: an expected violation is information. */
  readonly severity: Severity;
  readonly title: string;
  /** Two to four sentences: what it means, why it is so, what to do. */
  readonly explanation: string;
  /** The smallest text that triggers it and nothing else; empty where no small text does, with the reason in `explanation`. */
  readonly example: string;
}
