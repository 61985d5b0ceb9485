// Two streams of which both may be the same terminal: a line of status that is rewritten in place, and goes away before anything else is printed.

export interface Stream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

const CLEAR_LINE = "\r\u001b[K";
const DEFAULT_COLUMNS = 80;

export class Terminal {
  readonly #stdout: Stream;
  readonly #stderr: Stream;
  #shown = false;

  constructor(stdout: Stream, stderr: Stream) {
    this.#stdout = stdout;
    this.#stderr = stderr;
  }

  out(text: string): void {
    this.#clear();
    this.#stdout.write(text);
  }

  error(text: string): void {
    this.#clear();
    this.#stderr.write(text);
  }

  /** Undefined where standard error is no terminal: a log does not want a line ten times a second. */
  get status(): ((line: string) => void) | undefined {
    if (this.#stderr.isTTY !== true) return undefined;
    return (line) => {
      if (line === "") return this.#clear();
      // One column is left free, or the cursor would wrap and the line could not be taken back.
      const width = (this.#stderr.columns || DEFAULT_COLUMNS) - 1;
      this.#stderr.write(CLEAR_LINE + line.slice(0, width));
      this.#shown = true;
    };
  }

  #clear(): void {
    if (this.#shown) this.#stderr.write(CLEAR_LINE);
    this.#shown = false;
  }
}
