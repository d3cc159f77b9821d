// `Server-Timing`: how long each part of a request took, in milliseconds.

export class Timing {
  readonly #parts: string[] = []

  async of<T>(name: string, work: () => Promise<T>): Promise<T> {
    const startedAt = performance.now()
    try {
      return await work()
    } finally {
      this.#parts.push(`${name};dur=${(performance.now() - startedAt).toFixed(1)}`)
    }
  }

  header(): string {
    return this.#parts.join(', ')
  }
}
