// The panel's static parts as templates: header, transport buttons, the card of the current step, the facts, and the states without a trace.

import { html, nothing, svg, type TemplateResult } from "lit";
import { type Blame, cellKey } from "../view/diff.ts";
import type { Cell, FactRow, TraceStep, TraceView } from "../view/rows.ts";
import { type IconName, icon } from "./icons.ts";
import { type Move, violationBeyond } from "./player.ts";
import { actorName, callName, callText, place, stepTitle } from "./words.ts";

export function header(trace: TraceView, onStory: (schedule: string) => void, tools: TemplateResult): TemplateResult {
  const stories = trace.stories;
  return html`<header>
    <div class="title">
      <span class="verdict verdict-${trace.verdict}">${icon(trace.verdict)}<span>${trace.verdict}</span></span>
      <h1>${trace.scenario}</h1>
      <span class="chip" title="kernel profile"><span class="chip-key">kernel</span> ${trace.kernel}</span>
    </div>
    <div class="about"><p class="summary">${trace.summary}</p>${tools}</div>
    ${
      stories.length > 1
        ? html`<label class="stories"><span>Story</span>
      <select @change=${(event: Event) => onStory((event.target as HTMLSelectElement).value)}>
        ${stories.map((story) => html`<option value=${story.schedule} ?selected=${story.schedule === trace.schedule}>${story.title}</option>`)}
      </select></label>`
        : nothing
    }
  </header>`;
}

interface Transport {
  readonly move: (move: Move) => void;
  readonly seek: (step: number) => void;
  readonly play: () => void;
}

export function transport(trace: TraceView, cursor: number, playing: boolean, act: Transport): TemplateResult {
  const last = trace.steps.length - 1;
  const button = (move: Move, name: IconName, words: string, keys: string, off: boolean): TemplateResult =>
    html`<button class="tool" title="${words} (${keys})" aria-label=${words} aria-disabled=${off} @click=${() => off || act.move(move)}>${icon(name)}</button>`;
  const noneBefore = violationBeyond(trace, cursor, -1) === undefined;
  const noneAfter = violationBeyond(trace, cursor, 1) === undefined;
  return html`<div class="transport" role="group" aria-label="Time">
    ${button("first", "first", "Before the first step", "Home", cursor === 0)}
    ${button("previousViolation", "previousViolation", "Previous violation", "Shift+←", noneBefore)}
    ${button("previous", "previous", "Previous step", "←", cursor === 0)}
    <button class="tool play" title="${playing ? "Pause" : "Play"} (P or Space)" aria-label=${playing ? "Pause" : "Play"} @click=${act.play}>
      ${icon(playing ? "pause" : "play")}</button>
    ${button("next", "next", "Next step", "→", cursor === last)}
    ${button("nextViolation", "nextViolation", "Next violation", "Shift+→", noneAfter)}
    ${button("last", "last", "Last step", "End", cursor === last)}
    <span class="scrub">
      <input type="range" min="0" max=${last} .value=${String(cursor)} aria-label="Step" aria-valuetext="step ${cursor} of ${last}"
        @input=${(event: Event) => act.seek(Number((event.target as HTMLInputElement).value))} />
      ${overview(trace, last)}
    </span>
    <span class="count"><b>${cursor}</b><span class="quiet"> / ${last}</span></span>
  </div>`;
}

/** A strip under the slider: where `parallel` runs and where invariants break, to scale. */
function overview(trace: TraceView, last: number): TemplateResult {
  const scale = (step: number): number => (last === 0 ? 0 : (step / last) * 1000);
  const from = trace.steps.findIndex((step) => step.parallel);
  const to = from < 0 ? -1 : trace.steps.findLastIndex((step) => step.parallel);
  const breaks = new Map(trace.violations.slice(0, 400).map((violation) => [violation.step, violation.expected]));
  return html`<svg class="overview" viewBox="0 0 1000 8" preserveAspectRatio="none" height="8" aria-hidden="true" focusable="false">
    ${from < 0 ? nothing : svg`<rect class="overview-parallel" x=${scale(from)} y="3" width=${Math.max(4, scale(to) - scale(from))} height="2" />`}
    ${[...breaks].map(([step, expected]) => {
      const x = Math.max(0, scale(step) - 4);
      return svg`<rect class=${expected ? "overview-expected" : "overview-violation"} x=${x} y="0" width="8" height="8" />`;
    })}</svg>`;
}

export function stepCard(trace: TraceView, cursor: number, blame: Blame, act: { reveal: (step: number) => void; go: (step: number) => void }): TemplateResult {
  const step = trace.steps[cursor];
  if (step === undefined || step.actor < 0) {
    return html`<section class="card" aria-label="Current step"><p class="effect-line quiet">Before the first step: nothing has run yet.</p></section>`;
  }
  return html`<section class="card ${step.violations.length > 0 ? "card-broken" : ""}" aria-label="Current step">
    <div class="card-head">
      <span class="who actor-${step.actor % 6}"><span class="dot"></span>${actorName(trace, step.actor)}</span>
      <code class="card-step">${step.asserts === undefined ? html`<span class="quiet">${callName(step.call)}</span> ` : nothing}<b>${step.step}</b></code>
      ${step.result ? html`<code class="result">= ${step.result}</code>` : nothing}
      <button class="link" title="Show this line in the editor (Enter)" @click=${() => act.reveal(cursor)}>${place(trace, step)}</button>
    </div>
    <p class="effect-line">${step.effect || "No visible effect."}</p>
    ${step.violations.map((index) => broken(trace, cursor, index, blame, act))}
    <code class="call-line">${callText(step)}</code>
  </section>`;
}

function broken(trace: TraceView, cursor: number, index: number, blame: Blame, act: { go: (step: number) => void }): TemplateResult | typeof nothing {
  const violation = trace.violations[index];
  if (violation === undefined) return nothing;
  const causes = causesOf(trace.steps[cursor], violation.invariant, blame, cursor);
  return html`<div class="violation-card ${violation.expected ? "expected" : "unexpected"}">
    <p class="violation-head">${icon(violation.expected ? "expected" : "violation")}<b>${violation.invariant}</b>
      <span class="quiet">${violation.expected ? "expected violation" : "violation"}</span></p>
    <p>${violation.message}</p>
    ${violation.statement === "" ? nothing : html`<details class="rule"><summary class="quiet">The rule</summary><p>${violation.statement}</p></details>`}
    ${
      causes.length === 0
        ? nothing
        : html`<p class="causes-head quiet">How it came to this</p><ul class="causes">${causes.map(
            ({ step, columns }) => html`<li><div><button class="link" @click=${() => act.go(step)}>step ${step}: ${stepTitle(trace, step)}</button>
      <span class="quiet">${trace.steps[step].effect || columns.join(", ")}</span></div></li>`,
          )}</ul>`
    }
  </div>`;
}

/** Every earlier step that left a cell of the broken rows as it now is, in time's order: who freed the frame, who installed the mapping. */
function causesOf(step: TraceStep, invariant: string, blame: Blame, cursor: number): { step: number; columns: string[] }[] {
  const columns = new Map<number, string[]>();
  const rows: readonly { readonly key: string; readonly cells: Readonly<Record<string, Cell>> }[] = [
    ...step.machine.pages,
    ...(step.machine.tables ?? []).flatMap((table) => table.rows),
  ];
  for (const row of rows) {
    const ids = Object.keys(row.cells);
    if (!ids.some((id) => row.cells[id].broken === invariant)) continue;
    for (const id of ids) {
      const last = blame.last(cellKey(row.key, id), cursor);
      if (last === undefined || last === 0 || last === cursor) continue;
      columns.set(last, [...(columns.get(last) ?? []), id]);
    }
  }
  return [...columns].sort(([a], [b]) => a - b).map(([at, ids]) => ({ step: at, columns: ids }));
}

const GROUPS: readonly { readonly group: FactRow["group"]; readonly title: string }[] = [
  { group: "thread", title: "Threads" },
  { group: "lock", title: "Locks and sequence counters" },
  { group: "process", title: "Processes" },
  { group: "vm", title: "VM" },
  { group: "file", title: "Files" },
  { group: "frame", title: "Frames" },
];

export function facts(trace: TraceView, cursor: number, blame: Blame): TemplateResult | typeof nothing {
  const step = trace.steps[cursor];
  if (step === undefined || step.machine.facts.length === 0) return nothing;
  const before = new Map((trace.steps[cursor - 1]?.machine.facts ?? []).map((fact) => [fact.key, fact.value]));
  const changed = new Set(step.changed);
  return html`<section class="facts" aria-label="Machine">${GROUPS.map(({ group, title }) => {
    const rows = step.machine.facts.filter((fact) => fact.group === group);
    return rows.length === 0
      ? nothing
      : html`<div class="fact-group"><h2>${title}</h2><dl>${rows.map((fact) => factRow(trace, fact, before, changed, blame, cursor))}</dl></div>`;
  })}</section>`;
}

function factRow(
  trace: TraceView,
  fact: FactRow,
  before: ReadonlyMap<string, string>,
  changed: ReadonlySet<string>,
  blame: Blame,
  cursor: number,
): TemplateResult {
  const is = changed.has(fact.key);
  const was = before.get(fact.key);
  const last = blame.last(fact.key, cursor);
  const title = last === undefined || last === 0 ? "as it was before the first step" : `last changed by step ${last}, ${stepTitle(trace, last)}`;
  return html`<div class="fact ${is ? "changed" : ""}" title=${title}><dt>${fact.name}</dt><dd><code>${
    is ? changedText(was === fact.value ? undefined : was, fact.value) : fact.value
  }</code></dd></div>`;
}

/** What stood here, struck out, and what stands here now. */
export function changedText(before: string | undefined, after: unknown): TemplateResult {
  const old = before === undefined || before === "" ? nothing : html`<del>${before}</del>`;
  return html`${old}<ins>${icon("changed")}<span class="hidden">changed: </span>${after}</ins>`;
}

export function notice(title: string, text: string, wrong: boolean): TemplateResult {
  return html`<div class="notice">${icon(wrong ? "fail" : "empty")}<h1>${title}</h1><p>${text}</p></div>`;
}
