// All leaves of the TDX module that the model has, by name.

import { buildLeaves } from "./build.ts";
import { cacheLeaves } from "./caches.ts";
import { vpEnter } from "./enter.ts";
import { largeLeaves } from "./large.ts";
import type { Leaf } from "./leaf.ts";
import { septLeaves } from "./sept.ts";
import { teardownLeaves } from "./teardown.ts";
import { memTrack } from "./track.ts";
import { vpLeaves } from "./vp.ts";

export const LEAVES: readonly Leaf[] = [...buildLeaves, ...vpLeaves, ...teardownLeaves, ...cacheLeaves, ...septLeaves, ...largeLeaves, memTrack, vpEnter];

const BY_NAME = new Map(LEAVES.map((leaf) => [leaf.name, leaf]));

export const leafNamed = (name: string): Leaf | undefined => BY_NAME.get(name);
