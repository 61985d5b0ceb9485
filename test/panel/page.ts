// Opens the real bundle of the panel in Debian's Chromium on a page with the product's content security policy, and plays the extension.

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AxeBuilder } from "@axe-core/playwright";
import { build } from "esbuild";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import type { FromPanel, ToPanel } from "../../src/view/messages.ts";
import { THEMES } from "./themes.ts";

export const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
export const MISSING = existsSync(CHROMIUM)
  ? false
  : `SKIPPED: no Chromium at ${CHROMIUM}; the panel was not tried in a browser (apt-get install chromium, or set CHROMIUM)`;

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const ORIGIN = "https://panel.test/";
const NONCE = "c2VjcmV0";
const CSP = `default-src 'none'; script-src 'nonce-${NONCE}'; style-src ${ORIGIN}`;
const ROOT = join(import.meta.dirname, "../..");

export interface Harness {
  readonly open: (options?: { theme?: keyof typeof THEMES; width?: number; height?: number; state?: unknown }) => Promise<Shown>;
  readonly close: () => Promise<void>;
}

export interface Shown {
  readonly page: Page;
  /** What the content security policy refused so far, as the page itself was told. */
  readonly refusals: () => Promise<string[]>;
  readonly errors: readonly string[];
  readonly send: (message: ToPanel | Record<string, unknown>) => Promise<void>;
  readonly posted: () => Promise<FromPanel[]>;
  readonly saved: () => Promise<unknown>;
  readonly close: () => Promise<void>;
}

/**
 * What axe says of the page. The page has no frames, so it runs in the page itself and opens no second one to put frames together; and of rules that are kept
 * it names one node, not every one with its selectors.
 */
export const axe = (page: Page): ReturnType<AxeBuilder["analyze"]> =>
  new AxeBuilder({ page })
    .setLegacyMode()
    .options({ resultTypes: ["violations"] })
    .analyze();

export async function start(): Promise<Harness> {
  const folder = mkdtempSync(join(tmpdir(), "memfd-panel-"));
  const outfile = join(folder, "panel.js");
  await build({ entryPoints: [join(ROOT, "src/panel/main.ts")], bundle: true, format: "iife", outfile, target: "chrome120", minify: true, logLevel: "error" });
  const script = readFileSync(outfile, "utf8");
  rmSync(folder, { recursive: true });
  const css = readFileSync(join(ROOT, "media/panel.css"), "utf8");
  const browser = await chromium.launch({ executablePath: CHROMIUM, headless: true, args: FLAGS });
  return { open: (options = {}) => show(browser, script, css, options), close: () => browser.close() };
}

async function show(
  browser: Browser,
  script: string,
  css: string,
  options: { theme?: keyof typeof THEMES; width?: number; height?: number; state?: unknown },
): Promise<Shown> {
  const theme = THEMES[options.theme ?? "dark"];
  const variables = Object.entries(theme.variables)
    .map(([name, value]) => `--vscode-${name}: ${value};`)
    .join("");
  const context: BrowserContext = await browser.newContext({
    viewport: { width: options.width ?? 620, height: options.height ?? 900 },
    reducedMotion: "reduce",
  });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  const types: Record<string, string> = { "panel.css": "text/css", "theme.css": "text/css", "panel.js": "text/javascript" };
  const bodies: Record<string, string> = {
    "panel.css": css,
    "theme.css": `:root { ${variables} }`,
    "panel.js": script,
    "": `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Memfd</title><meta http-equiv="Content-Security-Policy" content="${CSP}">
      <link rel="stylesheet" href="theme.css"><link rel="stylesheet" href="panel.css"><script nonce="${NONCE}">${API(options.state)}</script></head>
      <body class="${theme.body}"><script nonce="${NONCE}" src="panel.js"></script></body></html>`,
  };
  await page.route("**/*", (route) => {
    const name = route.request().url().replace(ORIGIN, "");
    return name in bodies ? route.fulfill({ body: bodies[name], contentType: types[name] ?? "text/html" }) : route.abort();
  });
  await page.goto(ORIGIN);
  await page.waitForFunction(() => (globalThis as unknown as { posted: { type: string }[] }).posted.some((message) => message.type === "ready"));
  return {
    page,
    errors,
    refusals: () => page.evaluate(() => (globalThis as unknown as { refusals: string[] }).refusals),
    send: (message) => page.evaluate((data) => window.postMessage(data, "*"), message as never),
    posted: () => page.evaluate(() => (globalThis as unknown as { posted: FromPanel[] }).posted),
    saved: () => page.evaluate(() => (globalThis as unknown as { saved: unknown }).saved),
    close: () => context.close(),
  };
}

/** VS Code's webview API, recording. */
const API = (state: unknown): string => `
  globalThis.posted = []; globalThis.saved = ${JSON.stringify(state ?? null)} ?? undefined; globalThis.refusals = [];
  addEventListener("securitypolicyviolation", (event) => refusals.push(event.violatedDirective + " " + event.blockedURI));
  const postMessage = (message) => posted.push(structuredClone(message));
  globalThis.acquireVsCodeApi = () => ({ postMessage, getState: () => saved, setState: (next) => { saved = next; } });`;
