// About how many bytes a value of plain data takes in memory. Caches that hold answers are bounded by it.

const OBJECT = 24;
const FIELD = 8;
const NUMBER = 8;

/**
 * Bytes, roughly: objects and arrays with a word per entry, strings at two bytes a unit. What is reached by two ways counts twice, as it does when it is sent.
 */
export function sizeOf(value: unknown): number {
  let bytes = 0;
  const open: unknown[] = [value];
  while (open.length > 0) {
    const next = open.pop();
    if (typeof next === "string") bytes += OBJECT + 2 * next.length;
    else if (typeof next === "bigint") bytes += OBJECT;
    else if (typeof next !== "object" || next === null) bytes += NUMBER;
    else if (ArrayBuffer.isView(next)) bytes += OBJECT + next.byteLength;
    else {
      const parts: readonly unknown[] = Array.isArray(next) ? next : Object.values(next);
      bytes += OBJECT + FIELD * parts.length;
      for (const part of parts) open.push(part);
    }
  }
  return bytes;
}
