// `machine { NAME = VALUE … }` → the settings of the machine that a scenario runs on.

import { type SettingRow, setting, settings } from "../scenario/catalogue/index.ts";
import type { MachineEntry, StmtOf } from "./ast.ts";
import { fold } from "./fold.ts";
import { didYouMean } from "./near.ts";
import type { Scope } from "./scope.ts";

export function lowerMachine(scope: Scope, statement: StmtOf<"machine">): void {
  const here = new Set<string>();
  for (const entry of statement.entries) {
    const { text } = entry.name;
    const row = setting(text);
    if (row === undefined) {
      const names = settings.map((one) => one.name);
      scope.report("MEMFD2037", entry.name, `the machine has no setting \`${text}\`${didYouMean(text, names)}`);
    } else if (here.has(text)) scope.report("MEMFD2037", entry.name, `\`${text}\` is set twice`);
    else set(scope, row, entry);
    here.add(text);
  }
}

function set(scope: Scope, row: SettingRow, { name, value }: MachineEntry): void {
  const folded = value === undefined ? undefined : fold(scope, value);
  if (value === undefined || folded === undefined) return;
  if (folded.handle !== undefined || folded.value < row.min || folded.value > row.max) {
    scope.report("MEMFD2037", value, `\`${row.name}\` is a number from ${row.min} to ${row.max}`);
    return;
  }
  if (row.modelled === false && folded.value !== row.value) {
    scope.report("MEMFD5004", name, `\`${row.name}\` is not modelled yet`);
    return;
  }
  scope.machine[row.name] = folded.value;
}
