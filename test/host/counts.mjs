// A node:test reporter that writes only the final counts, as JSON, for test/run.mjs.

export default async function* counts(events) {
  const failures = [];
  for await (const { type, data } of events) {
    if (type === "test:fail" && data.details?.error?.failureType !== "subtestsFailed" && !data.todo) failures.push(data.name);
    // the summary without a file is the one of the whole run
    if (type === "test:summary" && data.file === undefined) yield JSON.stringify({ ...data.counts, failures });
  }
}
