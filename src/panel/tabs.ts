// The panel's two tabs, and what stands in the one of the kernels while there is no comparison to show.

import { html, nothing, type TemplateResult } from "lit";
import type { FromPanel, ToPanel } from "../view/messages.ts";

export type Tab = "pages" | "kernels";

/** What the tab of the kernels shows: the last message, with the view that it keeps while a newer one is being made. */
export type KernelsShown = Omit<Extract<ToPanel, { type: "kernels" }>, "type">;

const TITLES: Readonly<Record<Tab, string>> = { pages: "Page tables", kernels: "Kernels" };
const TABS: readonly Tab[] = ["pages", "kernels"];

export function tabs(current: Tab, choose: (tab: Tab) => void): TemplateResult {
  const key = (event: KeyboardEvent): void => {
    if (!["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key) || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    const next = event.key === "Home" ? 0 : event.key === "End" ? 1 : 1 - TABS.indexOf(current);
    choose(TABS[next]);
    (event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>("[role=tab]")[next]?.focus();
  };
  return html`<div class="tabs" role="tablist" aria-label="View" @keydown=${key}>${TABS.map(
    (tab) => html`<button class="tab" role="tab" id="tab-${tab}" aria-selected=${tab === current} aria-controls=${tab === current ? "tab-panel" : nothing}
      tabindex=${tab === current ? 0 : -1} @click=${() => choose(tab)}>${TITLES[tab]}</button>`,
  )}</div>`;
}

export function kernelsTab(shown: KernelsShown, post: (message: FromPanel) => void): TemplateResult {
  const { view, done, of, notice } = shown;
  const running = done !== undefined && of !== undefined;
  return html`
    ${
      running
        ? html`<div class="comparing"><progress max=${Math.max(1, of)} .value=${done} aria-label="Kernels compared"></progress>
          <span role="status">${done === of ? "Comparing …" : `Running under ${of} kernels: ${done} done`}</span>
          <button class="link" @click=${() => post({ type: "stop" })}>Stop</button></div>`
        : nothing
    }
    ${notice === undefined ? nothing : html`<p class="banner" role="status">${notice} <button class="link" @click=${() => post({ type: "kernels" })}>Compare again</button></p>`}
    ${
      view === undefined
        ? running || notice !== undefined
          ? nothing
          : html`<p class="pad quiet">Waiting for a scenario.</p>`
        : html`<memfd-kernels .view=${view} @memfd-post=${(event: CustomEvent<FromPanel>) => post(event.detail)}></memfd-kernels>`
    }`;
}
