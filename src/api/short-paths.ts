// Paths that Neon's guide for AI agents writes without their project: it is found from the id that they have.

import type { Control } from '../control/control.ts'
import type { Caller } from '../model/caller.ts'

type ShortPath = {
  pattern: RegExp
  projectOf: (control: Control, caller: Caller, id: string) => Promise<string>
}

const shortPaths: readonly ShortPath[] = [
  {
    pattern: /^\/branches\/([a-z0-9-]{1,60})\/snapshot$/,
    projectOf: (control, caller, id) => control.aliases.projectOfBranch(caller, id),
  },
  {
    pattern: /^\/snapshots\/([a-z0-9-]{1,60})\/restore$/,
    projectOf: (control, caller, id) => control.aliases.projectOfSnapshot(caller, id),
  },
]

/** The path as the contract has it. Throws `not_found` where its project is not the caller's to see. */
export async function fullPath(control: Control, caller: Caller, path: string): Promise<string> {
  for (const { pattern, projectOf } of shortPaths) {
    const id = pattern.exec(path)?.[1]
    if (id !== undefined) return `/projects/${await projectOf(control, caller, id)}${path}`
  }
  return path
}
