// What keeps a compute to itself beside its user: how its first process is launched, and what is done to it before it does anything.
//
// Postgres is no part of it: whatever confines must leave the postmaster with the pid that was spawned.

import type { ComputeSpec } from '../model/compute.ts'

export type Launch = { program: string; args: readonly string[]; uid?: number; gid?: number }

export type Confinement = {
  /** The command to spawn in place of this one, which it becomes in the end: same process, given uid and gid. */
  launch(spec: ComputeSpec, wanted: Launch): Promise<Launch>
  /** Right after it was spawned, before it is ready; also for one that was found running. A failure ends a start. */
  confine(spec: ComputeSpec, pid: number): Promise<void>
  /** After the last process of it has ended, and where a launch came to nothing. */
  release(spec: ComputeSpec): Promise<void>
}

export const unconfined: Confinement = {
  launch: async (_spec, wanted) => wanted,
  confine: async () => {},
  release: async () => {},
}

/** One inside the other: the last one's launch is the outermost command. */
export function allOf(confinements: readonly Confinement[]): Confinement {
  return {
    async launch(spec, wanted) {
      let launch = wanted
      for (const each of confinements) launch = await each.launch(spec, launch)
      return launch
    },
    async confine(spec, pid) {
      for (const each of confinements) await each.confine(spec, pid)
    },
    async release(spec) {
      for (const each of confinements) await each.release(spec)
    },
  }
}
