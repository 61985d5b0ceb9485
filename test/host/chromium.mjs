// The browser that shows the VS Code workbench: a Chromium of the machine, driven by playwright-core.

import { existsSync } from "node:fs";
import { onPath, run, SetUpError, setUpStep } from "./toolchain.mjs";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
const MAC = ["/Applications/Chromium.app/Contents/MacOS/Chromium", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"];
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** `MEMFD_CHROMIUM` names another one than the first on the PATH. */
export function findChromium() {
  const named = process.env.MEMFD_CHROMIUM;
  if (named) return existsSync(named) ? named : undefined;
  return NAMES.map(onPath).find(Boolean) ?? MAC.find(existsSync);
}

/** Finds Chromium, or installs it where that is possible without a question (root on Debian or Ubuntu). */
export async function ensureChromium() {
  const found = findChromium();
  if (found) return found;
  const advice = "Install it (Debian, Ubuntu: apt-get install chromium) or name one in the environment variable MEMFD_CHROMIUM.";
  if (process.platform !== "linux" || process.getuid() !== 0 || !onPath("apt-get")) throw new SetUpError(`Chromium is missing. ${advice}`);
  const apt = (args) => run("apt-get", args, { env: { DEBIAN_FRONTEND: "noninteractive" }, quiet: true });
  await setUpStep("read the package lists (apt-get update)", () => apt(["update"]), advice);
  await setUpStep("install Chromium (apt-get)", () => apt(["install", "-y", "--no-install-recommends", "chromium"]), advice);
  return findChromium();
}

/** A browser with one page on which nothing but `origin` answers: no test may depend on the network. */
export async function openPage(origin, { width = 1440, height = 900 } = {}) {
  const executablePath = await ensureChromium();
  const { chromium } = await import("playwright-core");
  const browser = await chromium.launch({ executablePath, headless: true, args: FLAGS, handleSIGINT: false, handleSIGTERM: false });
  // a context of its own: AxeBuilder refuses a page from browser.newPage()
  const context = await browser.newContext({ viewport: { width, height }, permissions: ["clipboard-read", "clipboard-write"] });
  const page = await context.newPage();
  const inside = (address) => address.protocol === "data:" || address.protocol === "blob:" || address.host === new URL(origin).host;
  await context.route(
    (address) => !inside(address),
    (route) => route.abort(),
  );
  return { browser, page };
}
