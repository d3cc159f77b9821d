// Which data has been made ready for what is served from it: seen once to be so, it stays so.

import { SingleFlight } from '../lib/single-flight.ts'
import type { TimelineId } from '../model/ids.ts'

const mostRemembered = 10_000

export class PreparedData {
  readonly #prepare: (id: string, timelineId: TimelineId) => Promise<void>
  readonly #preparing = new SingleFlight<void>()
  /** A wake has to work while the control database is away. */
  readonly #prepared = new Map<string, TimelineId>()

  /** `prepare` looks whether there is anything to do. */
  constructor(prepare: (id: string, timelineId: TimelineId) => Promise<void>) {
    this.#prepare = prepare
  }

  /** Before anybody is served from this data, whose compute runs. Throws where it cannot be made ready. */
  async ensure(id: string, timelineId: TimelineId): Promise<void> {
    if (this.#prepared.get(id) === timelineId) return
    await this.#preparing.run(`${id} ${timelineId}`, async () => {
      await this.#prepare(id, timelineId)
      this.#prepared.delete(id)
      this.#prepared.set(id, timelineId)
      for (const oldest of this.#prepared.keys()) {
        if (this.#prepared.size <= mostRemembered) break
        this.#prepared.delete(oldest)
      }
    })
  }
}
