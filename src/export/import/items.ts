// What an import is made of before it is laid out: statements and comments, each between the lines of the trace that it stands for.

/** Who runs a statement: a thread of the trace, or a vCPU by the name of its handle. */
export type Runner = { readonly task: number } | { readonly vcpu: string };

export interface Item {
  /**
   * `statement`; `comment`: a line that touches what the scenario is about and has no statement; `aside`: a line about something else, which is folded.
   * A statement may be made of an aside later, when something turns out to matter.
   */
  kind: "statement" | "comment" | "aside";
  readonly runner: Runner;
  start: number;
  end: number;
  /** The statement without its result, label and actor, or the comment; for an aside the line of the trace. */
  text: string;
  /** Behind `=`. */
  readonly result?: string;
  readonly binds?: string;
  /** Names that must be bound above. */
  uses: readonly string[];
  /** Behind the statement, as a comment. */
  readonly note?: string;
  /** The line of the trace, where the statement may turn out not to matter. */
  readonly line?: string;
  /** The call's name, for counting. */
  readonly what: string;
}

const MAX_COMMENT = 200;

/** Text of a trace as the inside of a line comment: nothing in it ends the comment or is refused by the language. */
export function commentText(text: string): string {
  const flat = text
    .slice(0, 4 * MAX_COMMENT)
    .replace(/[^\x20-\x7e]+/g, (found) => (/^[\p{L}\p{N}\p{P}\p{S}]+$/u.test(found) && !found.includes("\ufffd") ? found : "?"));
  return flat.length > MAX_COMMENT ? `${flat.slice(0, MAX_COMMENT).replace(/[\ud800-\udbff]$/, "")}...` : flat;
}
