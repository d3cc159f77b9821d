// So many at a time, and so many that wait for it: whoever comes later hears at once that there is no room.

export class Permits {
  readonly #mostWaiting: number
  readonly #waiting: (() => void)[] = []
  #free: number

  constructor(count: number, mostWaiting: number) {
    this.#free = count
    this.#mostWaiting = mostWaiting
  }

  /** Returns what gives it back, once. Throws what `refusal` makes where too many wait, or where it took too long. */
  async acquire(timeoutMs: number, refusal: () => Error): Promise<() => void> {
    if (this.#free > 0) this.#free--
    else await this.#wait(timeoutMs, refusal)
    let isHeld = true
    return () => {
      if (isHeld) this.#handOn()
      isHeld = false
    }
  }

  #wait(timeoutMs: number, refusal: () => Error): Promise<void> {
    if (this.#waiting.length >= this.#mostWaiting) return Promise.reject(refusal())
    return new Promise((resolve, reject) => {
      const begin = (): void => {
        clearTimeout(timer)
        resolve()
      }
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(begin), 1)
        reject(refusal())
      }, timeoutMs)
      this.#waiting.push(begin)
    })
  }

  #handOn(): void {
    const next = this.#waiting.shift()
    if (next) next()
    else this.#free++
  }
}
