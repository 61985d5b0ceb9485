// What the word of a handle holds: nothing yet, an object, or the errno of the call that should have made one.

/** What a handle holds; 0 until its call has returned. */
export const BOUND = 1;

export const CLOSED = 2;

/** A handle of a failed call: `FAILED + errno`. */
export const FAILED = 3;
