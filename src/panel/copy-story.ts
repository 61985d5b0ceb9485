// The button that copies the story on show as text; the extension does it, for it has the clipboard and the server.

import { html, svg, type TemplateResult } from "lit";
import type { FromPanel } from "../view/messages.ts";

export function copyStoryButton(post: (message: FromPanel) => void): TemplateResult {
  return html`<button class="tool copy-story" title="Copy this story as text for a mail" @click=${() => post({ type: "copyStory" })}>
    <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      ${svg`<rect x="5.5" y="5.5" width="8" height="8.5" rx="1" /><path d="M10.5 5.5 V3 A1 1 0 0 0 9.5 2 H3.5 A1 1 0 0 0 2.5 3 V10 A1 1 0 0 0 3.5 11 H5.5" />`}
    </svg><span>Copy story</span></button>`;
}
