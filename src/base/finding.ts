// What every stage says about the user's text: a finding with a stable code at a span. `check/diagnostics.ts` has the row behind each code.

/** A half-open range of UTF-16 offsets in one file. `file` is the name or URI that the host gave the text. */
export interface Span {
  readonly file: string;
  readonly from: number;
  readonly to: number;
}

export type Severity = "error" | "warning" | "information";

export interface Related {
  readonly span: Span;
  readonly message: string;
}

/** A replacement that a quick fix may offer. */
export interface Fix {
  readonly title: string;
  readonly edits: readonly { readonly span: Span; readonly text: string }[];
}

/**
 * Codes: MEMFD1xxx the text cannot be read or parsed · 2xxx a name, argument or place that does not exist or fit · 3xxx an expectation is broken
 * · 4xxx an invariant · 5xxx not known or not modelled under this kernel · 6xxx a limit was hit · 9xxx a bug of the model itself.
 */
export interface Finding {
  readonly code: string;
  readonly severity: Severity;
  readonly span: Span;
  readonly message: string;
  readonly related?: readonly Related[];
  readonly fixes?: readonly Fix[];
}
