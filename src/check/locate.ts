// A report's remarks and violations as findings in the text: sites become spans. An unexpected violation is an error on the step's line, an expected one a
// piece of information; the related places walk the story backwards.

import type { Finding, Related } from "../base/finding.ts";
import { printCall } from "../scenario/print.ts";
import type { Program } from "../scenario/program.ts";
import type { Remark, Report, StoryStep, Violation } from "./report.ts";

export function locate(program: Program, report: Report): Finding[] {
  return [
    ...report.violations.map((violation) => violationFinding(program, report, violation)),
    ...report.remarks.map((remark) => remarkFinding(program, remark)),
  ];
}

function remarkFinding(program: Program, remark: Remark): Finding {
  const span = program.sites[remark.site];
  const related = remark.related?.map((entry) => ({ span: program.sites[entry.site], message: entry.message }));
  const fixes = remark.actual === undefined ? [] : [{ title: `Write what it answers: ${remark.actual}`, edits: [{ span, text: `= ${remark.actual}` }] }];
  const message = remark.values === undefined ? remark.message : `${remark.message}: ${remark.values}`;
  return { code: remark.code, severity: remark.severity, span, message, related, ...(fixes.length > 0 ? { fixes } : {}) };
}

/** Codes of invariants, in the order of the catalogue; stable, so never reordered. */
export const INVARIANT_CODES: Readonly<Record<string, string>> = {
  "no-stale-mapping": "MEMFD4001",
  "frame-one-owner": "MEMFD4002",
  "private-inaccessible": "MEMFD4003",
  "inaccessible-marked": "MEMFD4004",
  "private-unmovable": "MEMFD4005",
  "write-sealed": "MEMFD4006",
  "zeroed-on-allocation": "MEMFD4007",
  "refcount-balanced": "MEMFD4008",
  "attributes-respected": "MEMFD4009",
  "no-lost-invalidation": "MEMFD4010",
  "invalidate-balanced": "MEMFD4011",
  "bound-once": "MEMFD4012",
  "binding-in-bounds": "MEMFD4013",
  "binding-valid": "MEMFD4014",
  "conversion-atomic": "MEMFD4015",
  "lock-order": "MEMFD4016",
  "no-deadlock": "MEMFD4017",
  "no-livelock": "MEMFD4018",
  "sept-pamt-agree": "MEMFD4019",
  "tlb-tracked": "MEMFD4020",
  "cache-flushed": "MEMFD4021",
  "private-integrity": "MEMFD4022",
  "mirror-agrees": "MEMFD4023",
  "key-order": "MEMFD4024",
  "no-kvm-bug": "MEMFD4025",
  "epoch-counted": "MEMFD4026",
  "td-page-held": "MEMFD4027",
  "no-oops": "MEMFD4030",
  "vm-valid": "MEMFD4031",
};

function violationFinding(program: Program, report: Report, violation: Violation): Finding {
  const site = violation.call < 0 ? program.site : program.calls[violation.call].site;
  const kernel = report.kernel;
  return {
    code: INVARIANT_CODES[violation.invariant],
    severity: violation.expected ? "information" : "error",
    span: program.sites[site],
    message: `${violation.invariant} breaks at ${violation.step} (${kernel}${violation.expected ? ", expected" : ""}): ${violation.message}`,
    related: relatedOf(program, violation),
  };
}

/** Steps that give a frame away, take it or map it; what else mentions a frame only follows from them. */
const TELLING: ReadonlySet<string> = new Set([
  "truncate",
  "free_pages",
  "unbind",
  "unmap_vma",
  "migrate",
  "allocate",
  "get_page",
  "lookup_page",
  "gup",
  "map",
  "take_frame",
  "write_frame",
  "set_marker",
  "store",
  // The TDX module, and KVM's use of it.
  "commit",
  "vp_enter",
  "vp_acquire.commit",
  "td_access",
  "accept_commit",
  "page_add.commit",
  "aug.commit",
  "block.commit",
  "track.commit",
  "remove.commit",
  "premap",
  "publish_spte",
  "clear_mirror",
  "put_pinned",
]);
const MOST_RELATED = 5;

/** The story backwards: the last steps that mapped, freed or handed out the frame that the violation is about. */
function relatedOf(program: Program, violation: Violation): Related[] {
  const frame = /frame (\d+)/.exec(`${violation.subject} ${violation.message}`)?.[0];
  const mentions = new RegExp(`\\b${frame}\\b`);
  const telling = violation.story.steps.filter((step) => step.call >= 0 && TELLING.has(step.step) && (frame === undefined || mentions.test(step.effect)));
  return telling
    .reverse()
    .slice(0, MOST_RELATED)
    .map((step) => ({ span: program.sites[program.calls[step.call].site], message: stepText(program, step) }));
}

function stepText(program: Program, step: StoryStep): string {
  return `${program.actors[step.actor].name}, ${step.step} of ${printCall(program, step.call)}: ${step.effect}`;
}
