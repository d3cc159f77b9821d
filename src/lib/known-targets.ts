// What control has told a service of the things that it serves, by every name that requests have for them. Kept until control says that it
// changed.

import { AppError } from '../model/errors.ts'
import { SingleFlight } from './single-flight.ts'

const mostNames = 2_000
/** Names that lead nowhere are asked for by anybody, and control tells us of everything that is new. */
const nothingForMs = 5_000
const mostQuestions = 64
const mostTries = 3

export type KnownTargetsOptions<Name, Target> = {
  /** Asks control. */
  ask: (name: Name) => Promise<Target | undefined>
  /** What two names of the same have in common. */
  keyOf: (name: Name) => string
}

type Known<Target> = { target: Target | undefined; until: number }

export class KnownTargets<Name, Target> {
  readonly #options: KnownTargetsOptions<Name, Target>
  readonly #known = new Map<string, Known<Target>>()
  readonly #flights = new SingleFlight<Target | undefined>()
  /** Raised by every change: what was asked for before may be older than that. */
  #changes = 0
  #questions = 0

  constructor(options: KnownTargetsOptions<Name, Target>) {
    this.#options = options
  }

  /** Throws `unavailable`. */
  async find(name: Name): Promise<Target | undefined> {
    const key = this.#options.keyOf(name)
    const known = this.#known.get(key)
    if (known && known.until > performance.now()) {
      // The least recently asked for goes first.
      this.#known.delete(key)
      this.#known.set(key, known)
      return known.target
    }
    return await this.#flights.run(key, () => this.#ask(key, name))
  }

  /** What led nowhere may lead somewhere now. */
  forget(isMeant: (target: Target) => boolean): void {
    this.#changes++
    for (const [key, { target }] of this.#known) if (!target || isMeant(target)) this.#known.delete(key)
  }

  async #ask(key: string, name: Name): Promise<Target | undefined> {
    if (this.#questions >= mostQuestions)
      throw new AppError('unavailable', 'too many requests at once; try again shortly')
    this.#questions++
    try {
      for (let tries = 1; ; tries++) {
        const changes = this.#changes
        const target = await this.#options.ask(name)
        const isCurrent = changes === this.#changes
        if (isCurrent) this.#keep(key, { target, until: target ? Infinity : performance.now() + nothingForMs })
        // Where something or other changes all the time, the last answer will do, for once.
        if (isCurrent || tries === mostTries) return target
      }
    } finally {
      this.#questions--
    }
  }

  #keep(key: string, known: Known<Target>): void {
    this.#known.delete(key)
    this.#known.set(key, known)
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= mostNames) break
      this.#known.delete(oldest)
    }
  }
}
