// Work that is heavy and bounded in number, for many who do not know each other. Whoever asks for much waits for himself: keys are
// served in turn, and where no more may wait, whoever has most waiting gives up his newest.

type Entry = { begin(): void; refuse(error: Error): void }

export type FairQueueOptions = {
  /** How many run at a time. */
  atOnce: number
  /** No more wait than are expected to begin within that time. */
  longestWaitMs: number
  /** What one is expected to take before any has ended. */
  expectedMs: number
  /** What those hear that there is no room for. */
  overflow(retryAfterSeconds: number): Error
  now?: () => number
}

/** Of the newest duration, in what is expected of the next. */
const weightOfNewest = 0.2

export class FairQueue {
  readonly #options: FairQueueOptions
  readonly #now: () => number
  /** The first key is the next to be served. No list is empty. */
  readonly #waiting = new Map<string, Entry[]>()
  #waitingCount = 0
  #running = 0
  #expectedMs: number

  constructor(options: FairQueueOptions) {
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
    this.#expectedMs = options.expectedMs
  }

  get counts(): { running: number; waiting: number } {
    return { running: this.#running, waiting: this.#waitingCount }
  }

  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#options.atOnce) await this.#wait(key)
    else this.#running += 1
    const startedAt = this.#now()
    try {
      return await work()
    } finally {
      this.#expectedMs += (this.#now() - startedAt - this.#expectedMs) * weightOfNewest
      this.#next()
    }
  }

  #wait(key: string): Promise<void> {
    const own = this.#waiting.get(key)
    if (this.#waitingCount >= this.#room() && !this.#makeRoom(own?.length ?? 0)) {
      return Promise.reject(this.#overflow())
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const entry: Entry = { begin: resolve, refuse: reject }
    if (own) own.push(entry)
    else this.#waiting.set(key, [entry])
    this.#waitingCount += 1
    return promise
  }

  #room(): number {
    const { atOnce, longestWaitMs } = this.#options
    return Math.max(atOnce, Math.floor((longestWaitMs * atOnce) / Math.max(this.#expectedMs, 1)))
  }

  /** False where nobody has more waiting than the newcomer would have. */
  #makeRoom(own: number): boolean {
    let longest: Entry[] = []
    for (const entries of this.#waiting.values()) if (entries.length > longest.length) longest = entries
    if (longest.length <= own + 1) return false
    longest.pop()?.refuse(this.#overflow())
    this.#waitingCount -= 1
    return true
  }

  /** The place that has become free is handed on: `#running` stays what it is. */
  #next(): void {
    const [first] = this.#waiting
    if (!first) {
      this.#running -= 1
      return
    }
    const [key, entries] = first
    const entry = entries.shift()
    this.#waiting.delete(key)
    if (entries.length > 0) this.#waiting.set(key, entries)
    this.#waitingCount -= 1
    entry?.begin()
  }

  #overflow(): Error {
    const ms = (this.#waitingCount * this.#expectedMs) / this.#options.atOnce
    return this.#options.overflow(Math.max(1, Math.ceil(ms / 1000)))
  }
}
