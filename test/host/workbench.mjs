// Drives the VS Code workbench as a person does: palette, keyboard, webview, pictures. For tests (test/vscode/*.test.ts) and for screenshot.mjs.

import { existsSync } from "node:fs";
import { join, relative, resolve, sep } from "node:path";
import { openPage } from "./chromium.mjs";
import { copyOfScenarios } from "./run-suite.mjs";
import { ROOT, SetUpError } from "./toolchain.mjs";
import { startServer, THEMES, workbenchAddress } from "./vscode-server.mjs";

const WEBVIEW = "iframe.webview.ready";
const KIND_OF_CLASS = { vs: 1, "vs-dark": 2, "hc-black": 3, "hc-light": 4 };

/**
 * Opens a fresh VS Code with the extension. `folder` is opened as it is; without it a copy of scenarios/ is made, so that VS Code's own saving
 * changes nothing here. `file`: relative to the folder, or a path under this project's scenarios/. `theme`: a key of THEMES.
 * `extension`: "source" (out/ of this project) or the path of a VSIX. `trusted: false` opens it in Restricted Mode.
 */
export async function openWorkbench({ folder, file, theme, extension = "source", settings, width, height, trusted = true } = {}) {
  const opened = folder ? resolve(folder) : copyOfScenarios();
  const payload = file ? { openFile: placeOf(file, opened) } : {};
  const server = await startServer({ extension: extension === "source" ? extension : resolve(extension), theme, settings, trusted });
  let browser;
  const close = async () => {
    await browser?.close();
    await server.close();
  };
  try {
    const tab = await openPage(server.origin, { width, height });
    browser = tab.browser;
    await tab.page.goto(workbenchAddress(server, opened, payload));
    const workbench = new Workbench(tab.page, server, opened, close);
    await workbench.whenReady({ file, theme });
    return workbench;
  } catch (error) {
    await close();
    throw error;
  }
}

/** The file inside the folder that is opened; a path under the project's own scenarios/ means its place in the copy. */
function placeOf(file, folder) {
  const own = relative(join(ROOT, "scenarios"), resolve(ROOT, file));
  const candidates = [resolve(folder, file), ...(own.startsWith(`..${sep}`) ? [] : [join(folder, own)])];
  const found = candidates.find(existsSync);
  if (!found) throw new SetUpError(`There is no ${file} in the folder that is opened.`);
  return found;
}

export class Workbench {
  constructor(page, server, folder, close) {
    Object.assign(this, { page, server, folder, close });
  }

  async whenReady({ file, theme }) {
    await this.page.locator(".monaco-workbench .part.editor").waitFor({ timeout: 60_000 });
    if (theme) await this.#tookTheme(theme);
    if (file) await this.page.locator(".editor-instance .monaco-editor .view-lines .view-line").first().waitFor({ timeout: 60_000 });
  }

  /** Takes another theme, as a person does in the list of themes. */
  async setTheme(theme) {
    await this.runCommand("Preferences: Color Theme");
    await this.page.locator(".quick-input-widget:visible input").first().fill(THEMES[theme].title);
    await this.page.locator(".quick-input-list .monaco-list-row").getByText(THEMES[theme].title, { exact: true }).first().click();
    await this.#tookTheme(theme);
  }

  /** The page begins in VS Code's own default and takes the settings a moment later. */
  async #tookTheme(theme) {
    const { id, kind } = THEMES[theme];
    const end = Date.now() + 20_000;
    while ((await this.themeKind()) !== kind) {
      if (Date.now() > end) throw new SetUpError(`VS Code did not take the theme "${id}" (its kind is ${await this.themeKind()}).`);
      await this.page.waitForTimeout(100);
    }
  }

  /** vscode.ColorThemeKind, read from the classes of the workbench. */
  async themeKind() {
    const classes = await this.page.locator(".monaco-workbench").first().getAttribute("class");
    return KIND_OF_CLASS[Object.keys(KIND_OF_CLASS).find((name) => classes.split(/\s+/).includes(name))];
  }

  /** Picks a command in the palette by its title. Fails where the palette does not offer it. */
  async runCommand(title, { seconds = 20 } = {}) {
    const end = Date.now() + seconds * 1000;
    // a command appears with the extension's manifest, and where its `when` asks for it only after the activation: ask again until the time is up
    for (;;) {
      const titles = await this.#askPalette(title);
      const at = titles.indexOf(title);
      if (at >= 0) {
        await this.page.locator(".quick-input-list .monaco-list-row").nth(at).click();
        return;
      }
      await this.page.keyboard.press("Escape");
      if (Date.now() > end) throw new Error(`the palette does not offer "${title}" but ${JSON.stringify(titles.slice(0, 5))}`);
    }
  }

  /** Titles that the palette offers for a text. */
  async paletteTitles(text) {
    const titles = await this.#askPalette(text);
    await this.page.keyboard.press("Escape");
    return titles;
  }

  /** Opens the palette with a text and reads its rows once they stand still. */
  async #askPalette(text) {
    const { page } = this;
    const input = page.locator(".quick-input-widget:visible input").first();
    // A key that comes while the focus moves between the editor and a webview is lost.
    for (let tries = 1; ; tries += 1) {
      await page.keyboard.press("F1");
      const opened = await input.waitFor({ timeout: 4_000 }).then(
        () => true,
        () => false,
      );
      if (opened) break;
      if (tries === 5) throw new Error("the palette does not open");
    }
    await input.fill(`>${text}`);
    const read = async () => {
      const rows = await page.locator(".quick-input-list .monaco-list-row .quick-input-list-row:first-child .label-name").allInnerTexts();
      return rows.map((row) => row.trim());
    };
    let before;
    let now = await read();
    for (let tries = 0; tries < 20 && (tries < 3 || now.join("\n") !== before); tries += 1) {
      before = now.join("\n");
      await page.waitForTimeout(200);
      now = await read();
    }
    return now;
  }

  /** The webview's document as a FrameLocator: `webview().locator("memfd-panel")`. */
  webview() {
    return this.page.frameLocator(WEBVIEW).frameLocator("#active-frame");
  }

  /** The same as a Frame, for `evaluate` and axe; waits until it is there. */
  async webviewFrame({ seconds = 20 } = {}) {
    const end = Date.now() + seconds * 1000;
    while (Date.now() < end) {
      // its name() stays "pending-frame"; its address is what tells it from the outer frame
      const frames = this.page.frames().filter((frame) => /\/fake\.html(\?|$)/.test(frame.url()));
      if (frames.length) return frames.at(-1);
      await this.page.waitForTimeout(100);
    }
    throw new Error(`no webview opened within ${seconds} s`);
  }

  /** Puts the keyboard focus into the open editor. */
  async focusEditor() {
    // Where it is scrolled, the first of the drawn lines lies behind the tabs: a click would not reach it.
    await this.page.locator(".editor-instance .monaco-editor :is(.native-edit-context, textarea.inputarea)").first().focus();
  }

  /** Opens a file of the folder by Quick Open. */
  async openFile(path) {
    await this.page.keyboard.press("ControlOrMeta+P");
    await this.page.locator(".quick-input-widget:visible input").first().fill(path);
    await this.page.locator(".quick-input-list .monaco-list-row").first().waitFor();
    await this.page.keyboard.press("Enter");
    await this.page.locator(`.tab.active[data-resource-name="${path.split("/").at(-1)}"]`).waitFor({ timeout: 10_000 });
  }

  /** Puts the cursor on a line, counted from 1; only lines in sight have squiggles, hints and lenses. */
  async goToLine(line) {
    await this.page.keyboard.press("Control+G");
    await this.page.locator(".quick-input-widget:visible input").first().fill(`:${line}`);
    await this.page.keyboard.press("Enter");
  }

  squiggles(severity = "error") {
    return this.page.locator(`.squiggly-${severity}`);
  }

  async screenshot(path) {
    // a toast or the mouse's hover would lie over what is to be shown
    await this.page.mouse.move(0, 0);
    const toast = this.page.locator(".notifications-toasts.visible .codicon-notifications-clear");
    if (await toast.count())
      await toast
        .first()
        .click({ timeout: 1000 })
        .catch(() => {});
    return this.page.screenshot({ path });
  }
}
