// Which compute an endpoint had when it last ran, as a file: enough to let clients in and to wake it while the control database is down.

import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { readIfThere, writeDurably } from '../lib/durable-file.ts'
import { KeyedLock } from '../lib/keyed-lock.ts'
import type { ComputeSpec } from '../model/compute.ts'
import type { SizeStanding, UsageStanding } from '../model/quota.ts'

export type Assignment = {
  endpointId: string
  projectId: string
  branchId: string
  disabled: boolean
  suspendTimeoutSeconds: number
  spec: ComputeSpec
  /** Undefined in files of an older pgrove. */
  maxCu?: number | undefined
  /** Undefined in files of an older pgrove, and where the control database was away when it was written first. */
  access?: AssignedAccess | undefined
  /** What quotas said when it was written: absent where all was fine. */
  usageStandings?: readonly UsageStanding[] | undefined
  sizeStanding?: SizeStanding | undefined
}

/** Who may come in. A verifier checks a password and is none. */
export type AssignedAccess = {
  allowedIps: readonly string[] | undefined
  publicBlocked: boolean
  /** Of roles that may log in, by name; the first few hundred. */
  verifiers: Readonly<Record<string, string>>
}

const suffix = '.json'

export class Assignments {
  readonly #folder: string
  readonly #written = new Map<string, string>()
  readonly #locks = new KeyedLock()

  constructor(folder: string) {
    this.#folder = folder
  }

  async open(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    for (const name of await readdir(this.#folder)) {
      // What a crash left of a file that was being written.
      if (name.endsWith('.draft')) await rm(join(this.#folder, name), { force: true })
    }
  }

  /** Ids of the endpoints that have one. */
  async list(): Promise<string[]> {
    return (await readdir(this.#folder))
      .filter((name) => name.endsWith(suffix))
      .map((name) => name.slice(0, -suffix.length))
  }

  async read(endpointId: string): Promise<Assignment | undefined> {
    const text = await readIfThere(this.#path(endpointId))
    return text === undefined ? undefined : (JSON.parse(text) as Assignment)
  }

  /** Writes only what has changed since this process last wrote it. */
  async write(assignment: Assignment): Promise<void> {
    const text = JSON.stringify(assignment)
    // One after another, so that a removal is not overtaken by what was written before it.
    await this.#locks.run(assignment.endpointId, 'write', async () => {
      if (this.#written.get(assignment.endpointId) === text) return
      await writeDurably(this.#path(assignment.endpointId), text)
      this.#written.set(assignment.endpointId, text)
    })
  }

  async remove(endpointId: string): Promise<void> {
    await this.#locks.run(endpointId, 'remove', async () => {
      this.#written.delete(endpointId)
      await rm(this.#path(endpointId), { force: true })
    })
  }

  #path(endpointId: string): string {
    // Endpoint ids are letters, digits and hyphens; anything else never names a file.
    if (!/^[a-z0-9-]{1,60}$/.test(endpointId)) return join(this.#folder, 'none.json')
    return join(this.#folder, `${endpointId}${suffix}`)
  }
}
