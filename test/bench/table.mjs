// What all parts of the benchmark share: timed processes, medians, and the one table whose rows are held against the bars of the product.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const TIME = "/usr/bin/time";

export const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
export const quoted = (word) => `'${String(word).replaceAll("'", "'\\''")}'`;
export const has = (tool) => spawnSync("sh", ["-c", `command -v ${tool}`]).status === 0;

/** GNU time tells the largest resident set of a process that has ended; nothing that comes with Node does. */
export const measuresMemory = existsSync(TIME) && spawnSync(TIME, ["-f", "%M", "true"]).status === 0;

/**
 * Runs a shell command line in `folder`. Wall and CPU seconds of it with all its children, and the largest resident set among them in bytes, where GNU time is
 * there to say it; the CPU then comes from the `times` of the shell.
 */
export function timed(folder, line) {
  const file = join(folder, "time.txt");
  const from = performance.now();
  const script = `${line}\nstatus=$?; echo "@times"; times; exit $status`;
  const words = measuresMemory ? [TIME, "-o", file, "-f", "%M", "sh", "-c", script] : ["sh", "-c", script];
  const { status, stdout, stderr } = spawnSync(words[0], words.slice(1), { cwd: folder, encoding: "utf8", maxBuffer: 1 << 26 });
  const wall = (performance.now() - from) / 1000;
  const [output, times = ""] = stdout.split("@times\n");
  assert.equal(status, 0, `${line}\n${output}${stderr}`);
  const spent = [...(times.split("\n")[1] ?? "").matchAll(/(\d+)m([\d.]+)s/g)].map(([, minutes, seconds]) => Number(minutes) * 60 + Number(seconds));
  const peakBytes = measuresMemory ? Number(readFileSync(file, "utf8").trim().split("\n").at(-1)) * 1024 : Number.NaN;
  return { wall, cpu: spent.reduce((sum, seconds) => sum + seconds, 0), peakBytes, output };
}

const figure = (value) => (Number.isNaN(value) ? "–" : value >= 1000 ? Math.round(value).toLocaleString("en") : value.toPrecision(3));

/** Rows in the order of measuring: what, both figures, and what is held against the bar. */
export class Table {
  rows = [];

  /** Ours against a peer: pairs of [theirs, ours]; the ratio is taken round by round, and its median held against `bar` (none: only told). */
  pairs(what, rounds, bar, measure) {
    const show = (side) => median(rounds.map((pair) => measure(pair[side])));
    this.#add({ what, peer: show(0), ours: show(1), value: median(rounds.map(([theirs, mine]) => measure(mine) / measure(theirs))), unit: "×", bar });
  }

  /** A figure without a peer. */
  single(what, value, unit, bar) {
    this.#add({ what, peer: Number.NaN, ours: Number.NaN, value, unit, bar });
  }

  skipped(what, why) {
    this.#add({ what, value: Number.NaN, skipped: why });
  }

  #add(row) {
    this.rows.push(row);
    console.log(this.#line(row));
  }

  #line({ what, peer, ours, value, unit, bar, skipped }) {
    if (skipped !== undefined) return `${what.padEnd(62)} SKIPPED: ${skipped}`;
    const verdict = bar === undefined ? "" : `≤ ${bar} ${unit}  ${value <= bar ? "MET" : "MISSED"}`;
    return `${what.padEnd(62)}${figure(peer).padStart(12)}${figure(ours).padStart(12)}${figure(value).padStart(9)} ${unit.padEnd(3)} ${verdict}`;
  }

  head(text) {
    console.log(`\n${text.padEnd(62)}${"SPIN".padStart(12)}${"ours".padStart(12)}${"measured".padStart(9)}     bar`);
  }

  /** The rows with a bar that is not met or was not measured; printed, and returned. */
  verdict() {
    const short = this.rows.filter(({ bar, value, skipped }) => skipped !== undefined || (bar !== undefined && !(value <= bar)));
    const barred = this.rows.filter(({ bar }) => bar !== undefined);
    console.log(`\n${barred.length - short.filter(({ bar }) => bar !== undefined).length} of ${barred.length} bars met.`);
    for (const row of short) console.log(`  ${row.skipped === undefined ? "falls short" : "not measured"}: ${this.#line(row)}`);
    return short;
  }
}
