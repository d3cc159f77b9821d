// What control knows of a role, asked for as seldom as is safe.
//
// Roles and passwords change through the API, which control tells us of, and by SQL, which comes through us: what was read stays true as
// long as nothing has gone to that endpoint's compute since. After commands that do not look as if they had changed a role it is trusted for
// a few seconds, for a function may have. While control is away, what was known last has to do; a wrong password is refused by Postgres at
// the latest, since the keys behind an old verifier do not open a new one.

import { SingleFlight } from '../lib/single-flight.ts'
import { isAppError } from '../model/errors.ts'
import type { ControlPlane, RoleAccess } from './control-plane.ts'

type Known = { access: RoleAccess | undefined; readAt: number; epoch: string }

const mostKnown = 20_000
/** Without any traffic a project's settings may still change in ways that nobody pushes. */
const longestTrustMs = 240_000
/** A function that changes a password counts after so long, or at the second attempt. */
const trustInCommandsMs = 5_000
/** Strangers' guesses are not worth a question each. */
const trustInNothingMs = 1_000

export class RoleCache {
  readonly #controlPlane: Pick<ControlPlane, 'lookupRole'>
  readonly #lastActivity: (endpointId: string) => { lastActivityAt: number; lastRoleChangeAt: number } | undefined
  readonly #known = new Map<string, Known>()
  readonly #epochs = new Map<string, number>()
  readonly #flights = new SingleFlight<RoleAccess | undefined>()
  #allEpoch = 0

  /** `lastActivity`: when bytes went to the endpoint's compute, and when a command ended that may have changed roles, in ms since 1970. */
  constructor(
    controlPlane: Pick<ControlPlane, 'lookupRole'>,
    lastActivity: (endpointId: string) => { lastActivityAt: number; lastRoleChangeAt: number } | undefined,
  ) {
    this.#controlPlane = controlPlane
    this.#lastActivity = lastActivity
  }

  /** Undefined for an endpoint that does not exist. Throws AppError where control cannot say and nothing was known before. */
  async lookup(endpointId: string, role: string): Promise<RoleAccess | undefined> {
    const name = nameOf(endpointId, role)
    const known = this.#known.get(name)
    if (known && this.#isFresh(endpointId, known)) return known.access
    const epoch = this.#epoch(endpointId)
    // Asked for anew by everybody who comes after a change, and shared by those who come before the answer.
    return await this.#flights.run(`${name}\0${epoch}`, async () => {
      const readAt = Date.now()
      try {
        const access = await this.#controlPlane.lookupRole(endpointId, role)
        // An answer that a change overtook does not take the place of a newer one.
        if (epoch === this.#epoch(endpointId) || !this.#known.has(name)) this.#keep(name, { access, readAt, epoch })
        return access
      } catch (error) {
        const away = isAppError(error, 'unavailable') || isAppError(error, 'control_database_unavailable')
        const last = this.#known.get(name)
        if (away && last?.access) return last.access
        throw error
      }
    })
  }

  /** Somebody was refused because of what is known: the next one is worth a question. */
  doubt(endpointId: string, role: string): void {
    const known = this.#known.get(nameOf(endpointId, role))
    if (!known?.access) return
    // Made older, unless nothing can have changed since.
    const { lastActivityAt = 0 } = this.#lastActivity(endpointId) ?? {}
    if (lastActivityAt >= known.readAt) known.readAt = 0
    else known.readAt = Math.min(known.readAt, Date.now() - longestTrustMs + trustInNothingMs)
  }

  /** What is known stays for when control cannot be asked. */
  changed(endpointId: string): void {
    this.#epochs.set(endpointId, (this.#epochs.get(endpointId) ?? 0) + 1)
  }

  allChanged(): void {
    this.#epochs.clear()
    this.#allEpoch++
  }

  #isFresh(endpointId: string, known: Known): boolean {
    if (known.epoch !== this.#epoch(endpointId)) return false
    const age = Date.now() - known.readAt
    if (known.access?.verifier === undefined) return age < trustInNothingMs
    const { lastActivityAt = 0, lastRoleChangeAt = 0 } = this.#lastActivity(endpointId) ?? {}
    if (lastRoleChangeAt >= known.readAt) return false
    return age < trustInCommandsMs || (age < longestTrustMs && lastActivityAt < known.readAt)
  }

  #epoch(endpointId: string): string {
    return `${this.#allEpoch}.${this.#epochs.get(endpointId) ?? 0}`
  }

  #keep(name: string, known: Known): void {
    this.#known.delete(name)
    this.#known.set(name, known)
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= mostKnown) break
      this.#known.delete(oldest)
    }
  }
}

function nameOf(endpointId: string, role: string): string {
  return `${endpointId}\0${role}`
}
