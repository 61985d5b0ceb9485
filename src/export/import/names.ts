// Names for what a trace numbers: descriptors by what they were made of, mappings by their file, threads in the order of their appearance.

import { isErrno } from "../../base/errno.ts";
import { callsNamed, constantsNamed } from "../../scenario/catalogue/index.ts";

/** Words of the language that cannot be bound, or that would read like something else at the start of a line. */
const WORDS = new Set(
  (
    "ok fails blocks exit vmm kvm NULL _ import scenario setup kernel on parallel atomic machine process repeat use order check ignore expect assert exists " +
    "never forall as before at extends without or safe violation SIGBUS SIGSEGV SIGKILL"
  ).split(" "),
);
const MAX_NAME = 40;

const taken = (name: string): boolean =>
  WORDS.has(name) || isErrno(name) || constantsNamed(name).length > 0 || callsNamed(name).length > 0 || /^TDX_/.test(name);

export class Names {
  readonly #used = new Map<string, number>();

  /** A name of the language made of `wish`, given out once. A number that is used again gets a new one: `ram`, `ram_2`. */
  fresh(wish: string): string {
    const plain = wish
      .replace(/[^A-Za-z0-9_]+/g, "_")
      .replace(/^_+|_+$/g, "")
      .slice(0, MAX_NAME);
    const letters = /^[A-Za-z]/.test(plain) ? plain : `x${plain === "" ? "" : `_${plain}`}`;
    const base = taken(letters) || /^(?:thread|child)\d*$/.test(letters) ? `${letters}_fd` : letters;
    const count = (this.#used.get(base) ?? 0) + 1;
    this.#used.set(base, count);
    if (count === 1) return base;
    const name = /\d$/.test(base) ? `${base}_${count}` : `${base}${count}`;
    return this.#used.has(name) || taken(name) ? this.fresh(`${base}_`.concat("x")) : this.#claim(name);
  }

  #claim(name: string): string {
    this.#used.set(name, 1);
    return name;
  }
}
