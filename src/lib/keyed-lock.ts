// A lock per key, first come first served. It names its holder, so that whoever waits can say for what.

export type Release = Disposable & { release(): void }

type Waiter = { holder: string; grant: (release: Release) => void }

export class KeyedLock {
  readonly #held = new Map<string, { holder: string; queue: Waiter[] }>()

  /** The current holder's name, or undefined when nobody holds the key. */
  holderOf(key: string): string | undefined {
    return this.#held.get(key)?.holder
  }

  acquire(key: string, holder: string): Promise<Release> {
    const entry = this.#held.get(key)
    if (!entry) {
      this.#held.set(key, { holder, queue: [] })
      return Promise.resolve(this.#release(key))
    }
    return new Promise((grant) => entry.queue.push({ holder, grant }))
  }

  /** Undefined when somebody still holds the key after `timeoutMs`; the place in the queue is given up then. */
  async acquireWithin(key: string, holder: string, timeoutMs: number): Promise<Release | undefined> {
    const wanted = this.acquire(key, holder)
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, timeoutMs, undefined)
    })
    const release = await Promise.race([wanted, late])
    clearTimeout(timer)
    if (!release) void wanted.then((given) => given.release())
    return release
  }

  /** Undefined at once when somebody holds the key. */
  tryAcquire(key: string, holder: string): Release | undefined {
    if (this.#held.has(key)) return undefined
    this.#held.set(key, { holder, queue: [] })
    return this.#release(key)
  }

  async run<T>(key: string, holder: string, work: () => Promise<T>): Promise<T> {
    using _ = await this.acquire(key, holder)
    return await work()
  }

  #release(key: string): Release {
    let released = false
    const release = (): void => {
      if (released) return
      released = true
      const entry = this.#held.get(key)
      const next = entry?.queue.shift()
      if (!entry || !next) {
        this.#held.delete(key)
        return
      }
      entry.holder = next.holder
      next.grant(this.#release(key))
    }
    return { release, [Symbol.dispose]: release }
  }
}
