// Real files: what cannot be read says why, folders are walked safely, formatting replaces a file as a whole; offsets become lines.

import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { findFiles, importer, realFiles } from "../../src/cli/files.ts";
import { Lines } from "../../src/cli/lines.ts";

const folder = mkdtempSync(join(tmpdir(), "memfd-cli-"));
after(() => rmSync(folder, { recursive: true }));
const path = (...parts: string[]): string => join(folder, ...parts);

test("text is UTF-8; what is not is read but never taken for it", () => {
  writeFileSync(path("ok.memfd"), "// Ä 中\n");
  writeFileSync(path("bom.memfd"), "\ufeff// x\n");
  writeFileSync(path("binary.memfd"), Buffer.from([0x66, 0xff, 0xfe, 0x00]));
  assert.deepEqual(realFiles.read(path("ok.memfd")), { ok: true, text: "// Ä 中\n", validUtf8: true });
  assert.deepEqual(realFiles.read(path("bom.memfd")), { ok: true, text: "// x\n", validUtf8: true });
  assert.deepEqual(realFiles.read(path("binary.memfd")), { ok: true, text: "f\ufffd\ufffd\0", validUtf8: false });
});

test("what cannot be read says why", () => {
  assert.deepEqual(realFiles.read(path("gone")), { ok: false, reason: "no such file or folder" });
  assert.deepEqual(realFiles.read(folder), { ok: false, reason: "it is a folder" });
  assert.deepEqual(realFiles.read("a\0b"), { ok: false, reason: "the name has a NUL character" });
  assert.deepEqual(realFiles.read("/dev/null"), { ok: false, reason: "it is no regular file" });
  assert.deepEqual(realFiles.kind(path("gone")), { reason: "no such file or folder" });
});

test("a folder that links to itself is walked once", () => {
  mkdirSync(path("tree", "sub"), { recursive: true });
  writeFileSync(path("tree", "sub", "b.memfd"), "");
  writeFileSync(path("tree", "a.memfd"), "");
  symlinkSync(path("tree"), path("tree", "sub", "loop"));
  symlinkSync(path("tree", "a.memfd"), path("tree", "same.memfd"));
  const { files, problems } = findFiles([path("tree")], realFiles);
  assert.deepEqual(files, [path("tree", "a.memfd"), path("tree", "sub", "b.memfd")]);
  assert.deepEqual(problems, []);
  assert.deepEqual(findFiles([path("tree"), path("none")], realFiles).problems, [{ path: path("none"), reason: "no such file or folder" }]);
});

test("an import is read once and found by findings", () => {
  writeFileSync(path("lib.memfd"), "PAGE = 4K\n");
  const texts = new Map<string, string>();
  const imports = importer(realFiles, texts);
  assert.deepEqual(imports("../lib.memfd", path("tree", "a.memfd")), { file: path("lib.memfd"), text: "PAGE = 4K\n" });
  assert.equal(texts.get(path("lib.memfd")), "PAGE = 4K\n");
  assert.equal(imports("gone.memfd", path("a.memfd")), undefined);
});

test("formatting keeps the mode and leaves no other file behind", () => {
  writeFileSync(path("tree", "a.memfd"), "old");
  chmodSync(path("tree", "a.memfd"), 0o640);
  assert.equal(realFiles.replace(path("tree", "same.memfd"), "new"), undefined);
  assert.equal(readFileSync(path("tree", "a.memfd"), "utf8"), "new");
  assert.equal(statSync(path("tree", "a.memfd")).mode & 0o777, 0o640);
  assert.deepEqual(readdirSync(path("tree")).sort(), ["a.memfd", "same.memfd", "sub"]);
  assert.equal(realFiles.replace(path("gone", "x"), "new"), "no such file or folder");
});

test("lines and columns agree with a count by hand, for every kind of line end", () => {
  const piece = fc.constantFrom("a", "bc", "\n", "\r\n", "\r", "😀");
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), fc.nat(), (pieces, seed) => {
      const text = pieces.join("");
      const offset = seed % (text.length + 1);
      if (text[offset - 1] === "\r" && text[offset] === "\n") return;
      const before = text.slice(0, offset).split(/\r\n|\r|\n/);
      assert.deepEqual(new Lines(text).at(offset), { line: before.length, column: (before.at(-1) ?? "").length + 1 });
    }),
  );
});
