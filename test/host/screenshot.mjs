// A picture of the real thing: node test/host/screenshot.mjs --file scenarios/x.memfd --theme dark --out x.png [--command "Memfd: Show Page Tables"]
// [--keys "Shift+ArrowRight ArrowRight"] pressed afterwards, [--line N] cursor, [--wait SECONDS], [--size 1440x900], [--vsix FILE].

import { resolve } from "node:path";
import { ensureDependencies, isMain, parseArguments, runMain, SetUpError } from "./toolchain.mjs";
import { openWorkbench } from "./workbench.mjs";

const KNOWN = Object.fromEntries(["file", "theme", "out", "command", "keys", "line", "wait", "size", "vsix"].map((name) => [name, "value"]));

export async function takeScreenshot({ file, theme = "dark", out, command, keys = "", line, wait = "4", size = "1440x900", vsix }) {
  if (!file || !out) throw new SetUpError("--file and --out are needed");
  const [width, height] = size.split("x").map(Number);
  const workbench = await openWorkbench({ file, theme, width, height, extension: vsix ?? "source" });
  try {
    const { page } = workbench;
    await workbench.focusEditor();
    if (line) await workbench.goToLine(line);
    if (command) {
      await workbench.runCommand(command);
      await workbench.webviewFrame().catch(() => console.log("the command opened no webview"));
    }
    await page.waitForTimeout(Number(wait) * 1000);
    for (const key of keys.split(/\s+/).filter(Boolean)) {
      await page.keyboard.press(key);
      await page.waitForTimeout(150);
    }
    await workbench.screenshot(resolve(out));
    console.log(resolve(out));
  } finally {
    await workbench.close();
  }
}

if (isMain(import.meta.url)) {
  runMain(async () => {
    await ensureDependencies();
    await takeScreenshot(parseArguments(KNOWN));
  });
}
