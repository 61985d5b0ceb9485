// The panel's own glyphs as SVG: a few strokes each, drawn in the current colour, hidden from screen readers (the words beside them are read).

import { html, type SVGTemplateResult, svg, type TemplateResult } from "lit";

export type IconName =
  | "pass"
  | "fail"
  | "incomplete"
  | "violation"
  | "expected"
  | "first"
  | "previous"
  | "play"
  | "pause"
  | "next"
  | "last"
  | "previousViolation"
  | "nextViolation"
  | "open"
  | "closed"
  | "goto"
  | "empty"
  | "changed";

const SHAPES: Readonly<Record<IconName, SVGTemplateResult>> = {
  pass: svg`<circle cx="8" cy="8" r="6.5" /><path d="M5 8.2 7.2 10.4 11 5.8" />`,
  fail: svg`<circle cx="8" cy="8" r="6.5" /><path d="M5.6 5.6 10.4 10.4 M10.4 5.6 5.6 10.4" />`,
  incomplete: svg`<circle cx="8" cy="8" r="6.5" stroke-dasharray="2.6 1.8" /><path d="M8 4.6 V8.2 L10.4 9.8" />`,
  violation: svg`<path d="M8 2 14.6 13.6 H1.4 Z" /><path d="M8 6.2 V9.6 M8 11.2 V12" />`,
  expected: svg`<path d="M8 1.6 14.4 8 8 14.4 1.6 8 Z" /><path d="M8 7.4 V11 M8 4.8 V5.6" />`,
  first: svg`<path d="M4 3.5 V12.5" /><path class="solid" d="M12.5 3.5 V12.5 L5.8 8 Z" />`,
  previous: svg`<path d="M10 3.5 5.5 8 10 12.5" />`,
  play: svg`<path class="solid" d="M4.5 3 V13 L13 8 Z" />`,
  pause: svg`<path d="M5.5 3.5 V12.5 M10.5 3.5 V12.5" />`,
  next: svg`<path d="M6 3.5 10.5 8 6 12.5" />`,
  last: svg`<path d="M12 3.5 V12.5" /><path class="solid" d="M3.5 3.5 V12.5 L10.2 8 Z" />`,
  previousViolation: svg`<path d="M4.5 4.5 1.5 8 4.5 11.5" /><path d="M10.5 3 15 11.8 H6 Z M10.5 6.4 V8.4 M10.5 9.8 V10.2" />`,
  nextViolation: svg`<path d="M11.5 4.5 14.5 8 11.5 11.5" /><path d="M5.5 3 10 11.8 H1 Z M5.5 6.4 V8.4 M5.5 9.8 V10.2" />`,
  open: svg`<path d="M4 6 8 10.2 12 6" />`,
  closed: svg`<path d="M6 4 10.2 8 6 12" />`,
  goto: svg`<path d="M3 8 H12.5 M9 4.5 12.5 8 9 11.5" />`,
  empty: svg`<rect x="2" y="2.5" width="12" height="11" rx="1.5" stroke-dasharray="2.4 1.8" /><path d="M2 6.2 H14 M6 6.2 V13.5" />`,
  changed: svg`<path class="solid" d="M8 3.5 13 12 H3 Z" />`,
};

export function icon(name: IconName): TemplateResult {
  return html`<svg class="icon icon-${name}" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">${SHAPES[name]}</svg>`;
}
