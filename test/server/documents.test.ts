// When the first scenario of a document runs: while the rest of the text is read, but only where everything runs by itself and the settings are known.

import assert from "node:assert/strict";
import { test } from "node:test";
import { TextDocument } from "vscode-languageserver-textdocument";
import { Documents } from "../../src/server/documents.ts";
import { DEFAULT_SETTINGS, type Settings } from "../../src/server/protocol.ts";
import { Runner } from "../../src/server/runner.ts";
import { NO_FILES, Texts } from "../../src/server/texts.ts";
import { FakeWorkers } from "./fake.ts";

const URI = "file:///a.memfd";
const scenario = (name: string): string => `scenario "${name}" {\n  kernel v8\n  close(-1)\n  ftruncate(-1, ${name.length})\n}\n`;

function setUp(text: string) {
  const workers = new FakeWorkers();
  const runner = new Runner(workers, { changed: () => undefined });
  const texts: Texts = new Texts((uri) => documents.document(uri), NO_FILES);
  const documents: Documents = new Documents(texts, runner);
  const document = TextDocument.create(URI, "memfd", 1, text);
  documents.open(document);
  const names = () => workers.requests.map(({ request: { task } }) => (task.kind === "check" ? task.program.name : task.kind));
  return { documents, document, runner, workers, names };
}

const configured = (settings: Partial<Settings> = {}): Settings => ({ ...DEFAULT_SETTINGS, ...settings });

test("the first scenario runs before the text is read to its end, and is not run again", () => {
  const { documents, names, runner } = setUp(scenario("one") + scenario("three"));
  documents.configure(URI, configured());
  documents.snapshot(URI);
  assert.deepEqual(names(), ["one"]);
  documents.schedule(URI);
  assert.deepEqual(names(), ["one"], "the lane is still at it");
  const [first, second] = documents.snapshot(URI)?.runs ?? [];
  assert.deepEqual([runner.pending(first.job.key), runner.pending(second.job.key)], [true, true]);
  runner.dispose();
});

test("under the limits of its settings", () => {
  const { documents, workers, runner } = setUp(scenario("one"));
  documents.configure(URI, configured({ maxStates: 4321 }));
  documents.snapshot(URI);
  const [{ request }] = workers.requests;
  assert.equal(request.task.kind === "check" && request.task.maxStates, 4321);
  runner.dispose();
});

test("nothing runs before the settings are known, nor where they say that nothing runs by itself", () => {
  for (const settings of [undefined, configured({ run: "manual" }), configured({ run: "onSave" })]) {
    const { documents, names, runner } = setUp(scenario("one"));
    if (settings !== undefined) documents.configure(URI, settings);
    documents.snapshot(URI);
    assert.deepEqual(names(), [], settings?.run ?? "not known");
    runner.dispose();
  }
});

test("an edit leaves the order to the schedule: what runs for the text before is not given up for the first scenario", () => {
  const { documents, document, names, runner } = setUp(scenario("one") + scenario("three"));
  documents.configure(URI, configured());
  documents.schedule(URI);
  TextDocument.update(document, [{ text: scenario("seven") + scenario("one") + scenario("three") }], 2);
  documents.snapshot(URI);
  const [, one, three] = documents.snapshot(URI)?.runs ?? [];
  assert.deepEqual(names(), ["one"]);
  assert.deepEqual([runner.pending(one.job.key), runner.pending(three.job.key)], [true, true]);
  runner.dispose();
});
