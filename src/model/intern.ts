// Numbers for values that do not fit a packed field: 64-bit sizes and positions, and results. Equal values get equal numbers, so states compare by word.

import type { Result } from "../scenario/program.ts";

/** Numbers of results and of values fit packed fields of this width. */
export const RESULTS_MAX = 0xfff;
export const VALUES_MAX = 0xfff;
/** Results below this are found by their value: bytes, counts, 0. */
const SMALL = 4096;
const SMALL_VALUES = BigInt(SMALL);

/** Thrown when a run meets more different results or sizes than the state has room for. */
export class TooManyValues extends Error {
  override name = "TooManyValues";
}

/** Interned 64-bit integers; 0 is always number 0. */
export class Values {
  readonly #numbers = new Map<bigint, number>([[0n, 0]]);
  readonly #values: bigint[] = [0n];

  number(value: bigint): number {
    let number = this.#numbers.get(value);
    if (number === undefined) {
      number = this.#values.length;
      if (number > VALUES_MAX) throw new TooManyValues(`more than ${VALUES_MAX} different sizes and positions`);
      this.#values.push(value);
      this.#numbers.set(value, number);
    }
    return number;
  }

  value(number: number): bigint {
    return this.#values[number];
  }
}

/**
 * Interned results of calls. An errno, a small integer, and a result that is one object for as long as the machine lives are found without building a key.
 */
export class Results {
  readonly #numbers = new Map<string, number>();
  readonly #results: Result[] = [];
  readonly #errnos = new Map<string, number>();
  readonly #small: Int16Array = new Int16Array(SMALL).fill(-1);
  readonly #objects = new WeakMap<Result, number>();

  number(result: Result): number {
    if (result.kind === "errno") return this.#errno(result);
    if (result.kind === "value" && result.data === undefined && result.value >= 0n && result.value < SMALL_VALUES) {
      const value = Number(result.value);
      if (this.#small[value] < 0) this.#small[value] = this.#keyed(result);
      return this.#small[value];
    }
    return this.#keyed(result);
  }

  /** The number of a result that is always the same object. */
  constant(result: Result): number {
    let number = this.#objects.get(result);
    if (number === undefined) this.#objects.set(result, (number = this.number(result)));
    return number;
  }

  result(number: number): Result {
    return this.#results[number];
  }

  get count(): number {
    return this.#results.length;
  }

  #errno(result: Result & { kind: "errno" }): number {
    let number = this.#errnos.get(result.errno);
    if (number === undefined) this.#errnos.set(result.errno, (number = this.#keyed(result)));
    return number;
  }

  #keyed(result: Result): number {
    const key = resultKey(result);
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.#results.length;
      if (number >= RESULTS_MAX) throw new TooManyValues(`more than ${RESULTS_MAX} different results`);
      this.#results.push(result);
      this.#numbers.set(key, number);
    }
    return number;
  }
}

export function resultKey(result: Result): string {
  switch (result.kind) {
    case "value":
      return `v${result.value}${result.data ? `:${result.data.join()}` : ""}`;
    case "exit":
      return `x${result.exit}:${result.fields.map((field) => `${field.name}=${field.value}`).join()}`;
    case "handle":
      return `h${result.handle}`;
    case "text":
      return `t${result.text}`;
    case "errno":
      return `e${result.errno}`;
    case "status":
      return `s${result.status}/${result.operand ?? ""}`;
    case "signal":
      return `g${result.signal}`;
    case "exception":
      return `c${result.exception}`;
    default:
      return result.kind;
  }
}
