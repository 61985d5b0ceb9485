// Import paths: relative to the importing file, never to another machine, never an exception.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TextDocument } from "vscode-languageserver-textdocument";
import { canonicalUri, resolve, Texts } from "../../src/server/texts.ts";

test("paths are relative to the importing file, in one spelling", () => {
  const table: [path: string, from: string, to: string | undefined][] = [
    ["b.memfd", "file:///x/a.memfd", "file:///x/b.memfd"],
    ["../y/b.memfd", "file:///x/a.memfd", "file:///y/b.memfd"],
    ["sub\\b.memfd", "file:///x/a.memfd", "file:///x/sub/b.memfd"],
    ["a b#1?.memfd", "file:///x/a.memfd", "file:///x/a%20b%231%3F.memfd"],
    ["b.memfd", "file:///c%3A/x/a.memfd", "file:///c%3A/x/b.memfd"],
    ["b.memfd", "vscode-vfs://github/o/r/a.memfd", "vscode-vfs://github/o/r/b.memfd"],
    ["//host/share/b.memfd", "file:///x/a.memfd", undefined],
    ["\\\\host\\share\\b.memfd", "file:///x/a.memfd", undefined],
    ["https://example.org/b.memfd", "file:///x/a.memfd", undefined],
    ["b.memfd", "untitled:Untitled-1", undefined],
    ["", "file:///x/a.memfd", undefined],
    ["b\0.memfd", "file:///x/a.memfd", undefined],
  ];
  for (const [path, from, to] of table) assert.equal(resolve(path, from), to, `${path} from ${from}`);
});

test("one file, two spellings", () => {
  assert.equal(canonicalUri("file:///c:/a b/x.memfd"), canonicalUri("file:///c%3A/a%20b/x.memfd"));
  assert.equal(canonicalUri("file:///%ZZ"), "file:///%ZZ");
});

test("no path throws, and none leaves scheme and host", () => {
  const base = new URL("file:///x/a.memfd");
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.tuple(fc.constantFrom("file:", "http:", "//", "/", "\\\\", "data:", ""), fc.string()).map((parts) => parts.join("")),
      ),
      (path) => {
        const found = resolve(path, base.href);
        if (found !== undefined) assert.deepEqual([new URL(found).protocol, new URL(found).host], ["file:", ""]);
      },
    ),
  );
});

test("open documents come before files; what is missing is asked for once", () => {
  const open = new Map([["file:///open.memfd", TextDocument.create("file:///open.memfd", "memfd", 1, "open")]]);
  const asked: string[] = [];
  const texts = new Texts((uri) => open.get(uri), { read: (uri) => (uri === "file:///open.memfd" || uri === "file:///disk.memfd" ? "disk" : undefined) });
  texts.missing = (uri) => void asked.push(uri);
  const visited: string[] = [];
  const imports = texts.importer((uri) => void visited.push(uri));
  assert.equal(imports("open.memfd", "file:///a.memfd")?.text, "open");
  assert.equal(imports("disk.memfd", "file:///a.memfd")?.text, "disk");
  assert.equal(imports("none.memfd", "file:///a.memfd"), undefined);
  assert.equal(imports("none.memfd", "file:///a.memfd"), undefined);
  assert.deepEqual(asked, ["file:///none.memfd"]);
  assert.equal(texts.provide("file:///none.memfd", "sent"), true);
  assert.equal(texts.provide("file:///none.memfd", "sent"), false);
  assert.deepEqual(imports("none.memfd", "file:///a.memfd"), { file: "file:///none.memfd", text: "sent" });
  assert.deepEqual(visited.length, 5);
});

test("lines of a file that changes between two questions", () => {
  let text = "a\nb\nc";
  const texts = new Texts(() => undefined, { read: () => text });
  const span = { file: "file:///d.memfd", from: 4, to: 5 };
  assert.equal(texts.line(span), 3);
  text = "aaaaaaaa";
  assert.equal(texts.line(span), 1);
});
