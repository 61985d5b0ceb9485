// Says on standard error what goes on while runs take a while: one line that is rewritten, and a forecast once for each run that will not finish.

import { progressText } from "../check/extent.ts";
import { forecastFinding } from "../check/forecast.ts";
import type { Program } from "../scenario/program.ts";
import { fold } from "../view/columns.ts";
import type { Environment, Live } from "./environment.ts";
import type { Loaded } from "./loaded.ts";
import { findingText } from "./text.ts";

/** Most runs are over by then. */
const SHOW_MILLISECONDS = 300;

export class Watch {
  readonly #environment: Environment;
  readonly #running = new Map<Program, Live>();
  readonly #foretold = new Set<Program>();
  #shown = false;

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  heard(loaded: Loaded, program: Program, live: Live): void {
    if (live.progress.milliseconds >= SHOW_MILLISECONDS) this.#running.set(program, live);
    if (live.forecast !== undefined && !this.#foretold.has(program)) {
      this.#foretold.add(program);
      this.#environment.error(findingText(loaded.placed(forecastFinding(program, live.forecast))));
    }
    this.#show();
  }

  ended(program: Program): void {
    if (this.#running.delete(program)) this.#show();
  }

  #show(): void {
    const running = [...this.#running];
    if (running.length === 0 && !this.#shown) return;
    this.#shown = running.length > 0;
    const sum = (of: (live: Live) => number): number => running.reduce((total, [, live]) => total + of(live), 0);
    const far = progressText({ states: sum((live) => live.progress.states), frontier: sum((live) => live.progress.frontier), rate: sum((live) => live.rate) });
    const [program] = running[0] ?? [];
    const who = running.length === 1 ? `"${program?.name}" under ${program?.profile.name}` : `${running.length} scenarios`;
    this.#environment.status?.(this.#shown ? fold(`${who}: ${far}`).replaceAll("\n", " ") : "");
  }
}
