// A node:test reporter that writes only the final counts, as JSON, for test/run.mjs.

export default async function* counts(events) {
  const failures = [];
  let empty = 0;
  for await (const { type, data } of events) {
    if (type === "test:fail" && data.details?.error?.failureType !== "subtestsFailed" && !data.todo) failures.push(data.name);
    // node counts a file that ended well without reporting any test as one passed test, named after the file
    if (type === "test:pass" && data.nesting === 0 && /\.test\.(ts|mjs)$/.test(data.name)) {
      empty += 1;
      failures.push(`${data.name}: it ended before any test reported`);
    }
    // the summary without a file is the one of the whole run
    if (type === "test:summary" && data.file === undefined) {
      const { passed, failed, ...rest } = data.counts;
      yield JSON.stringify({ ...rest, passed: passed - empty, failed: failed + empty, failures });
    }
  }
}
