// The numbers and words that the server sends are those of the protocol's own library.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as library from "vscode-languageserver";
import * as own from "../../src/server/lsp.ts";

for (const [name, values] of Object.entries(own)) {
  test(name, () => {
    const theirs = (library as unknown as Record<string, Record<string, unknown>>)[name];
    assert.ok(theirs, `the library has no ${name}`);
    for (const [key, value] of Object.entries(values)) assert.equal(value, theirs[key], `${name}.${key}`);
  });
}
