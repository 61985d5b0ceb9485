// The code behind the step names of the TDX module, of guest code in a TD, and of the hardware around both.

import { guestSteps } from "./guest.ts";
import { hostSteps } from "./host.ts";
import { acquire, commit } from "./plans.ts";

export const tdxSteps = { acquire, commit, ...guestSteps, ...hostSteps };
