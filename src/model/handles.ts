// What the word of a handle holds: 0 until its call has returned, then that it is bound, that it is closed, or the errno of the call that should have made an
// object.

export const BOUND = 1;
export const CLOSED = 2;
/** Of a failed call: `FAILED + errno`. */
export const FAILED = 3;
