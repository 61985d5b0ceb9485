// A session with the language server for the tests of one file: texts are opened one after the other, each under a name of its own.

import { after, before } from "node:test";
import { Client } from "./client.ts";

export interface Session {
  readonly client: Client;
  /** Opens a text and answers its address. */
  open(text: string): Promise<string>;
}

/** Begins with the first test of the file, and is closed behind its last. */
export function session(name: string): Session {
  const client = new Client();
  let files = 0;
  before(() => client.initialize());
  after(() => client.close());
  return {
    client,
    async open(text) {
      const uri = `file:///${name}-${(files += 1)}.memfd`;
      await client.open(uri, text);
      return uri;
    },
  };
}

/** One scenario under v8, a statement in each line. */
export const scenario = (name: string, ...lines: string[]): string => `scenario "${name}" {\n  kernel v8\n${lines.map((line) => `  ${line}\n`).join("")}}\n`;
