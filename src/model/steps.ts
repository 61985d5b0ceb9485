// The code behind every modelled step name of the catalogue.

import type { StepName } from "../scenario/catalogue/index.ts";
import { exitSteps } from "./exit.ts";
import { forkSteps } from "./fork.ts";
import { conversionSteps } from "./kvm/conversion.ts";
import { faultSteps, lookupGuestPage } from "./kvm/fault.ts";
import { gmemOnlySteps } from "./kvm/gmem-steps.ts";
import { hvaSteps } from "./kvm/hva.ts";
import { lifeSteps } from "./kvm/life.ts";
import { narrowGuestLookup } from "./kvm/narrow.ts";
import { notifierSteps } from "./kvm/notifier.ts";
import { restSteps } from "./kvm/rest.ts";
import { slotSteps } from "./kvm/slots.ts";
import { tdOnlySteps } from "./kvm/tdx-steps.ts";
import { NEXT, type StepCode } from "./machine.ts";
import { allocateSteps } from "./memory/allocate.ts";
import { copyingSteps } from "./memory/copying.ts";
import { createSteps } from "./memory/create.ts";
import { descriptorSteps } from "./memory/descriptors.ts";
import { folioSteps } from "./memory/folios.ts";
import { ioSteps } from "./memory/io.ts";
import { limitSteps } from "./memory/limits.ts";
import { lookSteps } from "./memory/looks.ts";
import { lookupHostPage, mappingSteps } from "./memory/mapping.ts";
import { movingSteps } from "./memory/moving.ts";
import { munmapSteps } from "./memory/munmap.ts";
import { COPY_ON_WRITE, narrowHostLookup } from "./memory/narrow.ts";
import { openSteps } from "./memory/opens.ts";
import { pipeSteps } from "./memory/pipe.ts";
import { poisonSteps } from "./memory/poison.ts";
import { populateSteps } from "./memory/populate.ts";
import { protectSteps } from "./memory/protect.ts";
import { resizeSteps } from "./memory/resize.ts";
import { sealSteps } from "./memory/seals.ts";
import { sendSteps } from "./memory/send.ts";
import { specialSteps } from "./memory/special.ts";
import { physicalSteps } from "./physical.ts";
import { signalSteps } from "./signals.ts";
import { tdxSteps } from "./tdx/steps.ts";

/** The checks themselves are the call's `decode`, which runs with this step and touches nothing. */
const checkArgs: StepCode = {
  reads: [],
  writes: [],
  jumps: [],
  returns: false,
  run(context) {
    context.say("the arguments are in order");
    return NEXT;
  },
};

/** A look-up by the host's page fault, or by the guest's (v4). */
const lookupPage: StepCode = {
  reads: [...new Set([...lookupHostPage.reads, ...lookupGuestPage.reads])],
  writes: [...new Set([...lookupHostPage.writes, ...lookupGuestPage.writes])],
  copying: COPY_ON_WRITE,
  jumps: [...(lookupGuestPage.jumps ?? []), "access_host"],
  acquires: (machine, plan, operation) => (operation.name === "fault" ? (lookupGuestPage.acquires?.(machine, plan, operation) ?? []) : []),
  narrow: (context) => (context.operation.name === "fault" ? narrowGuestLookup : narrowHostLookup)(context),
  events: true,
  run: (context) => (context.operation.name === "fault" ? lookupGuestPage : lookupHostPage).run(context),
};

const modelled: Partial<Record<StepName, StepCode>> = {
  ...tdOnlySteps,
  ...gmemOnlySteps,
  check_args: checkArgs,
  lookup_page: lookupPage,
  ...createSteps,
  ...descriptorSteps,
  ...limitSteps,
  ...lookSteps,
  ...sendSteps,
  ...pipeSteps,
  ...poisonSteps,
  ...populateSteps,
  ...specialSteps,
  ...resizeSteps,
  ...folioSteps,
  ...ioSteps,
  ...sealSteps,
  ...mappingSteps,
  ...munmapSteps,
  ...copyingSteps,
  ...hvaSteps,
  ...lifeSteps,
  ...allocateSteps,
  ...openSteps,
  ...protectSteps,
  ...notifierSteps,
  ...faultSteps,
  ...slotSteps,
  ...conversionSteps,
  ...physicalSteps,
  ...movingSteps,
  ...forkSteps,
  ...exitSteps,
  ...restSteps,
  ...signalSteps,
  ...tdxSteps,
};

export const isModelled = (name: StepName): boolean => modelled[name] !== undefined;

export const STEPS = modelled as Record<StepName, StepCode>;
