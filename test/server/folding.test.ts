// Folding counts the lines that the editor counts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { TextDocument } from "vscode-languageserver-textdocument";
import { foldingRanges } from "../../src/server/folding.ts";

const SOURCE = ["// one", "// two", 'scenario "a {', "/*", "", "*/", "parallel {", "  x: y() // z {", "}", "after {", "", "}", ""];

test("the same folds whichever of the three line ends a file has", () => {
  const folds = (text: string): string[] => foldingRanges(TextDocument.create("file:///a.memfd", "memfd", 1, text)).map((fold) => JSON.stringify(fold));
  const expected = [
    '{"startLine":0,"endLine":1,"kind":"comment"}',
    '{"startLine":3,"endLine":5,"kind":"comment"}',
    '{"startLine":6,"endLine":7}',
    '{"startLine":9,"endLine":10}',
  ];
  for (const end of ["\n", "\r\n", "\r"]) assert.deepEqual(folds(SOURCE.join(end)).sort(), expected, JSON.stringify(end));
});
