// What a row of a measured table is: the number of its section, the statements that ask it with the answers that were measured, or the
// reason why no scenario can ask it.

export interface Row {
  /** `2.1`. */
  readonly section: string;
  /** What the row says, in a few words. */
  readonly name: string;
  /** Statements with their answers, one a line. */
  readonly lines: readonly string[];
  /** The machine block, where the row is about a setting. */
  readonly machine?: string;
}

export interface Unasked {
  readonly section: string;
  readonly name: string;
  /** Part of what the model says of the last line, or of why the language has no words for it. */
  readonly reason: string;
  /** Statements of which the model says that it does not model the last; without them there is no call: its name. */
  readonly lines?: readonly string[];
  readonly call?: string;
}

export const row = (section: string, name: string, ...lines: readonly string[]): Row => ({ section, name, lines });

/** `f()` with `a` and so on: the last statement of each has the answer. */
export const asked = (
  section: string,
  start: readonly string[],
  list: readonly (readonly [statements: string, answer: string])[],
  after: readonly string[] = [],
): Row[] => list.map(([statements, answer]) => row(section, statements, ...start, `${statements} = ${answer}`, ...after));

export function textOf(rows: readonly Row[]): string {
  const scenarios = rows.map(({ section, name, lines, machine }, at) => {
    const title = JSON.stringify(`${section} ${name} (${at})`);
    const block = machine === undefined ? [] : [`  machine { ${machine} }`];
    return [`scenario ${title} {`, ...block, ...lines.map((line) => `  ${line}`), "}"].join("\n");
  });
  return `kernel 6.18\n\n${scenarios.join("\n\n")}\n`;
}
