// Things made of what control says, when they are first asked for, and kept as long as others are not used more. One whose target changed is
// replaced; whoever holds the old one goes on with it.

export type KeptInstancesOptions<Target, Instance> = {
  most: number
  idOf: (target: Target) => string
  versionOf: (target: Target) => number
  make: (target: Target) => Instance
  /** Nobody is given it any more. */
  retire: (instance: Instance) => void
}

type Entry<Target, Instance> = { target: Target; instance: Instance }

export class KeptInstances<Target, Instance> {
  readonly #options: KeptInstancesOptions<Target, Instance>
  /** The one used last comes last. */
  readonly #entries = new Map<string, Entry<Target, Instance>>()

  constructor(options: KeptInstancesOptions<Target, Instance>) {
    this.#options = options
  }

  of(target: Target): Instance {
    const { idOf, versionOf, make, most } = this.#options
    const id = idOf(target)
    const known = this.#entries.get(id)
    // The same may have been found by another of its names.
    if (known && versionOf(known.target) >= versionOf(target)) {
      this.#keep(id, known)
      return known.instance
    }
    if (known) this.#retire(id, known)
    const made = { target, instance: make(target) }
    this.#keep(id, made)
    for (const [oldest, entry] of this.#entries) {
      if (this.#entries.size <= most) break
      this.#retire(oldest, entry)
    }
    return made.instance
  }

  each(work: (target: Target, instance: Instance) => void): void {
    for (const { target, instance } of this.#entries.values()) work(target, instance)
  }

  retire(isMeant: (target: Target) => boolean): void {
    for (const [id, entry] of this.#entries) if (isMeant(entry.target)) this.#retire(id, entry)
  }

  /** All that there are; none of them is kept. */
  take(): Instance[] {
    const all = [...this.#entries.values()].map(({ instance }) => instance)
    this.#entries.clear()
    return all
  }

  #keep(id: string, entry: Entry<Target, Instance>): void {
    this.#entries.delete(id)
    this.#entries.set(id, entry)
  }

  #retire(id: string, entry: Entry<Target, Instance>): void {
    this.#entries.delete(id)
    this.#options.retire(entry.instance)
  }
}
