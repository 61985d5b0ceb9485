// Compiles memfd.grammar into src/language/generated/. The bundler calls `buildGrammar()`; `node src/language/build-grammar.mjs` runs it alone.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { buildParserFile } from "@lezer/generator";

const here = new URL(".", import.meta.url);

function writeIfChanged(name, text) {
  const path = new URL(`generated/${name}`, here);
  let old;
  try {
    old = readFileSync(path, "utf8");
  } catch {
    old = undefined;
  }
  if (old !== text) writeFileSync(path, text);
}

/** Writes generated/parser.ts and generated/terms.ts. A conflict or an unused rule of the grammar is an error. */
export function buildGrammar() {
  const grammar = readFileSync(new URL("memfd.grammar", here), "utf8");
  const { parser, terms } = buildParserFile(grammar, {
    fileName: "memfd.grammar",
    moduleStyle: "es",
    typeScript: true,
    includeNames: false,
    warn(message) {
      throw new Error(message);
    },
  });
  mkdirSync(new URL("generated/", here), { recursive: true });
  const head = "// Compiled from ../memfd.grammar by build-grammar.mjs; not to be edited.\n// @ts-nocheck\n";
  writeIfChanged("parser.ts", head + parser);
  writeIfChanged("terms.ts", head + terms);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) buildGrammar();
