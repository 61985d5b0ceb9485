// When diagnostics go out: at once when nothing runs, once more when the answers are there, never for a closed document, never twice the same.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { PublishDiagnosticsParams } from "vscode-languageserver";
import { PROGRESS_MILLISECONDS, Publisher, SETTLE_MILLISECONDS } from "../../src/server/publisher.ts";
import { pause } from "./fake.ts";

const URI = "file:///a.memfd";

function setUp(now?: () => number) {
  const sent: PublishDiagnosticsParams[] = [];
  const state = { open: true, pending: false, version: 1, messages: ["language"] };
  const publisher = new Publisher({
    pending: () => state.pending,
    now,
    send: (params) => void sent.push(params),
    collect: () => {
      if (!state.open) return undefined;
      const range = { start: { line: 0, character: 0 }, end: { line: 0, character: 1 } };
      return { version: state.version, diagnostics: state.messages.map((message) => ({ range, message })) };
    },
  });
  const texts = () => sent.map(({ diagnostics }) => diagnostics.map(({ message }) => message).join("+"));
  return { publisher, sent, state, texts };
}

test("with nothing to run the findings of the text go out in the same turn, with the version of the text", () => {
  const { publisher, sent, state, texts } = setUp();
  state.version = 7;
  publisher.changed(URI);
  assert.deepEqual(texts(), ["language"]);
  assert.equal(sent[0].version, 7);
});

test("a run that ends in time costs one publication, not two", async () => {
  const { publisher, state, texts } = setUp();
  state.pending = true;
  publisher.changed(URI);
  assert.deepEqual(texts(), []);
  state.messages = ["language", "model"];
  state.pending = false;
  publisher.progressed(URI);
  assert.deepEqual(texts(), ["language+model"]);
  await pause(SETTLE_MILLISECONDS * 3);
  assert.deepEqual(texts(), ["language+model"]);
});

test("a long run does not hold back the findings of the text", async () => {
  const { publisher, state, texts } = setUp();
  state.pending = true;
  publisher.changed(URI);
  await pause(SETTLE_MILLISECONDS * 3);
  assert.deepEqual(texts(), ["language"]);
  state.messages = ["language", "model"];
  state.pending = false;
  publisher.progressed(URI);
  assert.deepEqual(texts(), ["language", "language+model"]);
});

test("steady progress is published in strokes, and not put off for ever", async () => {
  const { publisher, state, texts } = setUp();
  state.pending = true;
  const end = Date.now() + PROGRESS_MILLISECONDS * 2.5;
  for (let at = 0; Date.now() < end; at += 1) {
    state.messages = [String(at)];
    publisher.progressed(URI);
    await pause(5);
  }
  const count = texts().length;
  assert.ok(count >= 1 && count <= 3, `${count} publications`);
  publisher.dispose();
});

test("the findings of the text do not hold up the first answers; later ones come in strokes", async () => {
  const clock = { now: 1_000 };
  const { publisher, state, texts } = setUp(() => clock.now);
  state.pending = true;
  publisher.changed(URI);
  await pause(SETTLE_MILLISECONDS * 2);
  assert.deepEqual(texts(), ["language"]);
  state.messages = ["language", "first"];
  publisher.progressed(URI);
  await pause(SETTLE_MILLISECONDS * 2);
  assert.deepEqual(texts(), ["language", "language+first"], "a hundred milliseconds have not passed");
  state.messages = ["language", "first", "second"];
  publisher.progressed(URI);
  await pause(SETTLE_MILLISECONDS * 2);
  assert.equal(texts().length, 2, "the second answer waits for its stroke");
  publisher.dispose();
});

test("where nothing is shown the first answer does not wait for the text to settle", async () => {
  const { publisher, state, texts } = setUp();
  state.messages = [];
  publisher.changed(URI);
  state.pending = true;
  state.messages = ["model"];
  publisher.progressed(URI);
  await pause(0);
  await pause(0);
  assert.deepEqual(texts(), ["", "model"]);
});

test("the same again is not sent", () => {
  const { publisher, texts } = setUp();
  publisher.changed(URI);
  publisher.changed(URI);
  publisher.progressed(URI);
  assert.deepEqual(texts(), ["language"]);
});

test("closing clears, and nothing follows", async () => {
  const { publisher, sent, state, texts } = setUp();
  publisher.changed(URI);
  state.pending = true;
  state.messages = ["late"];
  publisher.changed(URI);
  state.open = false;
  publisher.closed(URI);
  await pause(SETTLE_MILLISECONDS * 3);
  assert.deepEqual(texts(), ["language", ""]);
  assert.deepEqual(sent.at(-1), { uri: URI, diagnostics: [] });
});

test("two documents do not disturb each other", async () => {
  const { publisher, sent, state } = setUp();
  state.pending = true;
  publisher.changed(URI);
  publisher.changed("file:///b.memfd");
  publisher.closed("file:///b.memfd");
  await pause(SETTLE_MILLISECONDS * 3);
  assert.deepEqual(
    sent.map(({ uri, diagnostics }) => [uri, diagnostics.length]),
    [
      ["file:///b.memfd", 0],
      [URI, 1],
    ],
  );
});
