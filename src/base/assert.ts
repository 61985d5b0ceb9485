// Internal assertions: a failure is a bug of the model, never a finding about the user's scenario (ARCHITECTURE.md, rule 3).

/** Thrown by `assert`; `check` turns it into MEMFD9001. */
export class ModelBug extends Error {
  override name = "ModelBug";
}

export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new ModelBug(message);
}
