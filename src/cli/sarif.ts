// `--format sarif`: SARIF 2.1.0 (OASIS, March 2020), for code scanning.

import { isAbsolute } from "node:path";
import { pathToFileURL } from "node:url";
import { invariants } from "../scenario/catalogue/index.ts";
import { EXIT } from "./environment.ts";
import type { PlacedFinding } from "./loaded.ts";
import { exitStatus, type Outcome } from "./outcome.ts";

const LEVEL = { error: "error", warning: "warning", information: "note" } as const;

const uri = (file: string): string => (isAbsolute(file) ? pathToFileURL(file).href : file.replaceAll("\\", "/").split("/").map(encodeURIComponent).join("/"));

const location = (place: { file: string; line: number; column: number; endLine?: number; endColumn?: number; message?: string }): unknown => ({
  ...(place.message === undefined ? {} : { message: { text: place.message } }),
  physicalLocation: {
    artifactLocation: { uri: uri(place.file) },
    region: {
      startLine: place.line,
      startColumn: place.column,
      ...(place.endLine === undefined ? {} : { endLine: place.endLine, endColumn: place.endColumn }),
    },
  },
});

const result = (finding: PlacedFinding): unknown => ({
  ruleId: finding.code,
  level: LEVEL[finding.severity],
  message: { text: finding.message },
  locations: [location(finding)],
  ...(finding.related.length === 0 ? {} : { relatedLocations: finding.related.map((each, id) => ({ id, ...(location(each) as object) })) }),
});

export function sarifReport(outcome: Outcome): string {
  const codes = [...new Set(outcome.findings.map((each) => each.code))].sort();
  const run = {
    tool: {
      driver: {
        name: "memfd",
        rules: codes.map((id) => ({ id })),
        properties: { invariants: invariants.filter((row) => row.modelled).map((row) => row.name) },
      },
    },
    columnKind: "utf16CodeUnits",
    invocations: [{ executionSuccessful: exitStatus(outcome) !== EXIT.input && exitStatus(outcome) !== EXIT.incomplete, exitCode: exitStatus(outcome) }],
    results: outcome.findings.map(result),
  };
  return `${JSON.stringify({ $schema: "https://json.schemastore.org/sarif-2.1.0.json", version: "2.1.0", runs: [run] }, undefined, 2)}\n`;
}
