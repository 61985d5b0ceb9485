// Every code of the language has a row, and the row's example triggers exactly that code.

import assert from "node:assert/strict";
import { test } from "node:test";
import { diagnostics } from "../../src/check/diagnostics.ts";
import { analyse } from "../../src/language/index.ts";

const imports = (path: string) => (path === "self.memfd" ? { file: "self.memfd", text: 'import "self.memfd"' } : undefined);

for (const row of diagnostics.filter((one) => /MEMFD[125]|MEMFD600[1-5]/.test(one.code) && one.example !== "")) {
  test(`${row.code}: ${row.title}`, () => {
    const { findings } = analyse("self.memfd", row.example, { imports });
    const hit = findings.find((finding) => finding.code === row.code);
    assert.ok(hit, `got ${findings.map((finding) => `${finding.code} ${finding.message}`).join("; ") || "nothing"}`);
    assert.equal(hit.severity, row.severity);
    assert.deepEqual(
      findings.filter((finding) => finding.code !== row.code && finding.code !== "MEMFD5003" && row.code !== "MEMFD6004").map((finding) => finding.code),
      [],
    );
  });
}

test("every code that the language's sources report has a row", async () => {
  const { readdir, readFile } = await import("node:fs/promises");
  const folder = new URL("../../src/language/", import.meta.url);
  const known = new Set(diagnostics.map((row) => row.code));
  for (const name of await readdir(folder)) {
    if (!name.endsWith(".ts")) continue;
    const text = await readFile(new URL(name, folder), "utf8");
    for (const [code] of text.matchAll(/MEMFD\d{4}/g)) assert.ok(known.has(code), `${code} in ${name} has no row`);
  }
});

test("codes are unique and in order", () => {
  const codes = diagnostics.map((row) => row.code);
  assert.deepEqual(codes, [...new Set(codes)].sort());
});
