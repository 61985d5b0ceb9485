// The C of calls that look at files and pages, that move data between descriptors, and that limit the process.

import type { CallId, Operand, Program } from "../../scenario/program.ts";
import { fieldName } from "./limits.ts";
import { integer } from "./names.ts";
import { type Arguments, bytesText, intOrZero, type Uses } from "./operand.ts";

/** An offset that the kernel is given by its address, or NULL. */
const pointer = (operand: Operand): string => (operand.kind === "absent" ? "NULL" : `&(off_t){ ${integer(intOrZero(operand), true)} }`);

/** Undefined where the call is none of these. */
export function moving(program: Program, uses: Uses, id: CallId, arg: Arguments): string | undefined {
  const { spec, operands } = program.calls[id];
  switch (spec) {
    case "fstat":
    case "fstatfs":
      uses.blocks.add("fields");
      return `${spec === "fstat" ? "STAT" : "STATFS"}_FIELD(${arg("fd")}, ${fieldName(program, id)})`;
    case "mincore":
      uses.blocks.add("incore");
      return `ret_pages((void *)(${arg("addr")}), ${arg("length")})`;
    case "setrlimit":
      uses.blocks.add("softlimits");
      return `soft_limit(${arg("resource")}, ${integer(intOrZero(operands[1]), true)})`;
    case "pipe2":
      uses.blocks.add("pipes");
      return `ret_pipe(${integer(intOrZero(operands[0]), true)})`;
    case "open":
      uses.blocks.add("descriptors");
      return `ret_fd(open(${bytesText(uses, operands[0])}, ${arg("flags")}))`;
    case "memfd_secret":
      uses.blocks.add("descriptors");
      return `ret_fd(syscall(SYS_memfd_secret, ${integer(intOrZero(operands[0]), true)}))`;
    case "splice":
    case "copy_file_range": {
      const sides = `${arg("fd_in")}, ${pointer(operands[1])}, ${arg("fd_out")}, ${pointer(operands[3])}`;
      return `ret(${spec}(${sides}, ${arg("len")}, ${arg("flags")}))`;
    }
    case "sendfile":
      return `ret(sendfile(${arg("out_fd")}, ${arg("in_fd")}, ${pointer(operands[2])}, ${arg("count")}))`;
    case "vmsplice":
      return `ret(vmsplice(${arg("fd")}, &(struct iovec){ (void *)(${arg("addr")}), ${arg("len")} }, 1, ${arg("flags")}))`;
    default:
      return undefined;
  }
}
