// A piece of C that stands above the scenario in an emitted file. A file has those that it uses; they are written to be read by somebody who debugs a kernel.

export interface Block {
  readonly name: string;
  /** Names of blocks that have to stand before it. */
  readonly needs: readonly string[];
  readonly text: string;
}
