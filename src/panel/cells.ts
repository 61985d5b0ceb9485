// What stands in a cell of the panel's tables, the same for pages and for the tables below them: its text, what stood there before, the rule that it breaks.

import { html, nothing, type TemplateResult } from "lit";
import type { Cell, TraceView } from "../view/rows.ts";
import { icon } from "./icons.ts";
import { changedText } from "./sections.ts";

export interface CellLook {
  readonly content: TemplateResult;
  readonly classes: string;
  /** Empty where there is nothing to say. */
  readonly title: string;
}

const expects = (trace: TraceView, invariant: string): boolean => trace.violations.some((violation) => violation.invariant === invariant && violation.expected);

export function cellLook(trace: TraceView, cell: Cell, before: string, changed: boolean): CellLook {
  const title = [cell.detail ?? cell.text, cell.broken === undefined ? "" : `Breaks ${cell.broken}.`].filter((part) => part !== "").join(" · ");
  const text = cell.text === "" ? html`<span class="none" aria-hidden="true">–</span><span class="hidden">nothing</span>` : html`${cell.text}`;
  const shown = changed ? changedText(before === cell.text ? undefined : before, text) : cell.text === "" ? text : html`<span>${text}</span>`;
  const foreseen = cell.broken !== undefined && expects(trace, cell.broken);
  const broken =
    cell.broken === undefined
      ? nothing
      : html`<span class="breaks-cell">${icon(foreseen ? "expected" : "violation")}
          <span class="hidden">breaks </span>${cell.broken}</span>`;
  const wrong = cell.broken === undefined ? "" : foreseen ? "broken foreseen" : "broken";
  return { content: html`<code>${shown}</code>${broken}`, classes: `${changed ? "changed" : ""} ${wrong}`, title };
}
