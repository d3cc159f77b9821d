// What control has told us of integrations, by every name that requests have for them. Kept until control says that it changed.

import { SingleFlight } from '../lib/single-flight.ts'
import type { AuthTarget, AuthTargetName } from '../model/auth-target.ts'
import { AppError } from '../model/errors.ts'
import type { AuthControlPlane, TargetChanged } from './control-plane.ts'

const mostNames = 2_000
/** Names that lead nowhere are asked for by anybody, and control tells us of every integration that is new. */
const nothingForMs = 5_000
const mostQuestions = 64
const mostTries = 3

type Known = { target: AuthTarget | undefined; until: number }

export class Targets {
  readonly #controlPlane: Pick<AuthControlPlane, 'findTarget'>
  readonly #known = new Map<string, Known>()
  readonly #flights = new SingleFlight<AuthTarget | undefined>()
  /** Raised by every change: what was asked for before may be older than that. */
  #changes = 0
  #questions = 0

  constructor(controlPlane: Pick<AuthControlPlane, 'findTarget'>) {
    this.#controlPlane = controlPlane
  }

  /** Throws `unavailable`. */
  async find(name: AuthTargetName): Promise<AuthTarget | undefined> {
    const key = keyOf(name)
    const known = this.#known.get(key)
    if (known && known.until > performance.now()) {
      // The least recently asked for goes first.
      this.#known.delete(key)
      this.#known.set(key, known)
      return known.target
    }
    return await this.#flights.run(key, () => this.#ask(key, name))
  }

  forget({ integrationId, endpointId, what }: TargetChanged): void {
    if (what === 'address') return
    this.#changes++
    for (const [key, { target }] of this.#known) {
      const isMeant = integrationId === undefined && endpointId === undefined
      if (isMeant || !target || target.integrationId === integrationId || target.endpointId === endpointId)
        this.#known.delete(key)
    }
  }

  async #ask(key: string, name: AuthTargetName): Promise<AuthTarget | undefined> {
    if (this.#questions >= mostQuestions)
      throw new AppError('unavailable', 'too many requests at once; try again shortly')
    this.#questions++
    try {
      for (let tries = 1; ; tries++) {
        const changes = this.#changes
        const target = await this.#controlPlane.findTarget(name)
        const isCurrent = changes === this.#changes
        if (isCurrent) this.#keep(key, { target, until: target ? Infinity : performance.now() + nothingForMs })
        // Where something or other changes all the time, the last answer will do, for once.
        if (isCurrent || tries === mostTries) return target
      }
    } finally {
      this.#questions--
    }
  }

  #keep(key: string, known: Known): void {
    this.#known.delete(key)
    this.#known.set(key, known)
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= mostNames) break
      this.#known.delete(oldest)
    }
  }
}

function keyOf(name: AuthTargetName): string {
  return name.kind === 'project' ? `project ${name.id}` : `endpoint ${name.endpointId} ${name.database ?? ''}`
}
