// `memfd kernels` and `memfd calls`: the catalogue as text.

import { nearest } from "../language/near.ts";
import { PROFILES } from "../model/profile/index.ts";
import { type CallSpec, calls, callsNamed, constants, profiles } from "../scenario/catalogue/index.ts";
import { beside, table, wrap } from "../view/columns.ts";
import { type Environment, EXIT, type ExitStatus } from "./environment.ts";

const WIDTH = 80;

export function kernelsCommand(environment: Environment): ExitStatus {
  const rows = profiles.map((row) => [row.name, row.modelled ? "yes" : "not yet", row.title]);
  environment.out(`${table(["kernel", "modelled", "what it is"], rows, WIDTH).join("\n")}\n`);
  environment.out("\nSources:\n");
  for (const row of profiles) environment.out(`${beside(row.name, row.source, 10, WIDTH).join("\n")}\n`);
  return EXIT.pass;
}

export function callsCommand(names: readonly string[], environment: Environment): ExitStatus {
  if (names.length === 0) {
    environment.out(listing());
    return EXIT.pass;
  }
  let status: ExitStatus = EXIT.pass;
  let first = true;
  for (const name of names) {
    const specs = callsNamed(name);
    if (specs.length === 0) {
      const near = nearest(name, [...new Set(calls.map((spec) => spec.name))]);
      environment.error(`memfd: no call is named ${name}${near ? `; did you mean ${near}?` : ""}\n`);
      status = EXIT.input;
    }
    for (const spec of specs) {
      environment.out(`${first ? "" : "\n"}${description(spec)}`);
      first = false;
    }
  }
  return status;
}

const TITLES = { memory: "Host: files and mappings", kvm: "KVM: ioctls and guest code", tdx: "TDX", physical: "Machine" } as const;

/** `fcntl(fd, cmd[, arg])`: optional parameters in brackets. */
function signature(spec: CallSpec): string {
  let text = "";
  spec.params.forEach((param, index) => {
    const comma = index > 0 && !text.endsWith(", ]") ? ", " : "";
    if (!param.optional) text += `${comma}${param.name}`;
    else text += index === 0 && spec.params.some(({ optional }) => !optional) ? `[${param.name}, ]` : `[${comma}${param.name}]`;
  });
  return `${spec.name}(${text})`;
}

function listing(): string {
  const sections = (Object.keys(TITLES) as (keyof typeof TITLES)[]).map((subsystem) => {
    const rows = calls.filter((spec) => spec.subsystem === subsystem);
    const lines = rows.flatMap((spec) =>
      wrap(`${spec.context === "guest" ? "vcpu: " : ""}${signature(spec)}${spec.operations.length === 0 ? "   (not modelled yet)" : ""}`, WIDTH - 2, "    "),
    );
    return `${TITLES[subsystem]}\n${lines.map((line) => `  ${line}`).join("\n")}\n`;
  });
  return `${sections.join("\n")}\nmemfd calls NAME says more of one call.\n`;
}

/** `v4 to v8, 6.8`: neighbours in the list of kernels as a range. */
function kernelList(names: readonly string[]): string {
  const order = profiles.map((row) => row.name);
  if (names.length === order.length) return "all";
  const ranges: [number, number][] = [];
  for (const at of names.map((name) => order.indexOf(name)).sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last && last[1] === at - 1) last[1] = at;
    else ranges.push([at, at]);
  }
  return ranges.map(([first, last]) => (first === last ? order[first] : `${order[first]} to ${order[last]}`)).join(", ");
}

/** The atomic steps under each modelled kernel, as a variant would write them. */
function stepLists(spec: CallSpec): string[] {
  const known = PROFILES.filter((row) => spec.profiles.includes(row.name) && spec.operations.length > 0);
  if (known.length === 0) return ["Not modelled yet."];
  return known.flatMap((row) => [
    `Atomic steps under ${row.name}:`,
    ...spec.operations
      .filter((name) => Object.hasOwn(row.operations, name))
      .flatMap((name) => wrap(`${name} = ${row.operations[name].flat().join(", ")}`, WIDTH - 2, "    ").map((line) => `  ${line}`)),
  ]);
}

function description(spec: CallSpec): string {
  const field = (name: string, text: string): string[] => beside(`${name}:`, text, 10, WIDTH);
  const groups = spec.params.flatMap((param) => {
    const known = param.group === undefined ? [] : [...new Set(constants.filter((row) => row.group === param.group).map((row) => row.name))];
    return known.length === 0 ? [] : field(param.name, known.join(" "));
  });
  const errors = spec.errors.flatMap((row) => {
    const kernels = row.profiles ? ` [${kernelList(row.profiles)}]` : "";
    return beside(
      `  ${row.errno}`,
      `${row.when}${kernels}${row.derived ? " (concluded from the code)" : ""}`,
      row.errno.length >= 12 ? row.errno.length + 4 : 14,
      WIDTH,
    );
  });
  const lines = [
    ...wrap(`${spec.context === "guest" ? "vcpu: " : ""}${signature(spec)}`, WIDTH, "    "),
    ...wrap(spec.prototype, WIDTH - 2, "  ").map((line) => `  ${line}`),
    "",
    ...wrap(spec.help, WIDTH),
    "",
    ...groups,
    ...field("Kernels", kernelList(spec.profiles)),
    ...field("Source", spec.source),
    ...(errors.length === 0 ? [] : ["", "Errors, in the order in which they are checked:", ...errors]),
    "",
    ...stepLists(spec),
  ];
  return `${lines.join("\n")}\n`;
}
