// `--kernel`: the choices of a file are rewritten, variants and their steps are left alone, lines stay and offsets lead back.

import assert from "node:assert/strict";
import { test } from "node:test";
import { underKernels } from "../../src/cli/override.ts";
import { parser } from "../../src/language/generated/parser.ts";

const under = (text: string, ...kernels: string[]): string => underKernels(text, parser.parse(text), kernels).text;

test("choices of the file and of a scenario are replaced, also lists", () => {
  assert.equal(under("kernel v8\nf()\n", "v4"), "kernel v4\nf()\n");
  assert.equal(
    under('kernel v8, 6.18 // x\nscenario "a" {\n  kernel v10\n  f()\n}\n', "v4", "v8"),
    'kernel v4, v8 // x\nscenario "a" {\n  kernel v4, v8\n  f()\n}\n',
  );
});

test("a file without a choice gets one, on its first line", () => {
  assert.equal(under("f()\n", "v8"), "kernel v8; f()\n");
  assert.equal(under('scenario "a" {\n  kernel v8\n}\n', "v4"), 'kernel v4; scenario "a" {\n  kernel v4\n}\n');
  assert.equal(under("\ufeff// x\nf()\n", "v8"), "\ufeffkernel v8; // x\nf()\n");
});

test("variants, setups and names that look like the keyword stay", () => {
  const text = "kernel v8\nkernel mine extends v8 { fallocate.punch_hole = invalidate, truncate }\nkernel(x)\non v8 { assert 1 }\n";
  assert.equal(under(text, "mine"), text.replace("kernel v8", "kernel mine"));
});

test("offsets lead back to the text that was read", () => {
  const text = 'kernel v8\nscenario "a" {\n  kernel v10, v8\n  f()\n}\n';
  const { text: changed, back } = underKernels(text, parser.parse(text), ["mainline", "v4"]);
  for (const word of ["scenario", '"a"', "f()", "}"]) assert.equal(back(changed.indexOf(word)), text.indexOf(word), word);
  assert.equal(back(changed.indexOf("mainline")), text.indexOf("v8"));
  assert.equal(back(changed.length), text.length);
  assert.equal(changed.split("\n").length, text.split("\n").length);
  const bare = underKernels("f()\n", parser.parse("f()\n"), ["v8"]);
  assert.equal(bare.back(bare.text.indexOf("f()")), 0);
});

test("a file that nests ten thousand deep is walked without recursion", () => {
  const text = `kernel v8\n${"atomic {\n".repeat(10_000)}f()\n${"}\n".repeat(10_000)}`;
  assert.match(under(text, "v4"), /^kernel v4\n/);
});
