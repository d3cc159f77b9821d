// Up to where each timeline's log is accounted for, while its compute serves and until that is stored.
//
// A timeline that nothing is stored of begins with the place that its log had reached when its compute began to serve: what made it is
// not its tenant's.

import { KeyedLock } from '../../lib/keyed-lock.ts'
import type { TimelineId } from '../../model/ids.ts'
import type { Lsn } from '../../model/lsn.ts'
import type { LogReading } from '../../model/usage.ts'

/** Undefined where the log cannot be read now: Postgres is replaying it, say. */
export type ReadEnd = (timelineId: TimelineId, from: Lsn) => Promise<Lsn | undefined>

type Log = {
  /** Undefined until what is stored has been looked up. */
  position: Lsn | undefined
  /** Where it was when it was first seen. */
  seen: Promise<Lsn | undefined>
  /** What is still being made of it is not its tenant's: nothing is read until `skip`. */
  held: boolean
  /** Behind the position, in bytes: what we wrote ourselves. */
  ours: bigint
  readAt: number
  version: number
  /** Somebody is about to read it for the last time. */
  kept: number
}

const start = 0n as Lsn

export class LogPositions {
  readonly #read: ReadEnd
  readonly #logs = new Map<TimelineId, Log>()
  readonly #locks = new KeyedLock()

  constructor(read: ReadEnd) {
    this.#read = read
  }

  /** Its compute begins to serve. Where the log is, is looked up at once: its tenant may write any moment. */
  begin(timelineId: TimelineId): void {
    this.#entry(timelineId)
  }

  /** Not forgotten until it is released, though its compute has ended. */
  keep(timelineId: TimelineId): Disposable {
    const log = this.#entry(timelineId)
    log.kept += 1
    return { [Symbol.dispose]: () => void (log.kept -= 1) }
  }

  hold(timelineId: TimelineId): void {
    this.#entry(timelineId).held = true
  }

  /** All until now is not the tenant's. */
  async skip(timelineId: TimelineId): Promise<LogReading | undefined> {
    return await this.#locks.run(timelineId, 'skip', async () => {
      const log = this.#entry(timelineId)
      const end = await this.#read(timelineId, log.position ?? start)
      log.held = false
      if (end === undefined) return undefined
      Object.assign(log, { position: end, ours: 0n, version: log.version + 1, readAt: Date.now() })
      return { timelineId, lsn: end, writtenBytes: 0 }
    })
  }

  /** Written by us on the tenant's timeline just now. */
  addOurs(timelineId: TimelineId, bytes: bigint): void {
    const log = this.#logs.get(timelineId)
    if (log) log.ours += bytes
  }

  /** Whose stored reading has to be looked up. */
  unknown(): TimelineId[] {
    return [...this.#logs].filter(([, log]) => log.position === undefined && !log.held).map(([id]) => id)
  }

  /** What was looked up. Returns the readings that others begin with, which are to be stored. */
  async learn(ids: readonly TimelineId[], stored: ReadonlyMap<TimelineId, Lsn>): Promise<LogReading[]> {
    const begun: LogReading[] = []
    for (const id of ids) {
      const log = this.#logs.get(id)
      const lsn = stored.get(id) ?? (await log?.seen)
      if (!log || log.held || log.position !== undefined) continue
      if (lsn === undefined) {
        // Could not be read at the time: the next look is its first.
        log.seen = this.#look(id)
        continue
      }
      log.position = lsn
      if (!stored.has(id)) begun.push({ timelineId: id, lsn, writtenBytes: 0 })
    }
    return begun
  }

  position(timelineId: TimelineId): Lsn | undefined {
    return this.#logs.get(timelineId)?.position
  }

  readAt(timelineId: TimelineId): number {
    return this.#logs.get(timelineId)?.readAt ?? 0
  }

  /** What was written since the last reading; undefined where that is nothing or cannot be told. */
  async read(timelineId: TimelineId): Promise<LogReading | undefined> {
    return await this.#locks.run(timelineId, 'read', async () => {
      const log = this.#logs.get(timelineId)
      if (!log || log.held || log.position === undefined) return undefined
      log.readAt = Date.now()
      const end = await this.#read(timelineId, log.position)
      if (end === undefined || end <= log.position) return undefined
      const grown = end - log.position
      const ours = grown < log.ours ? grown : log.ours
      log.ours -= ours
      log.position = end
      log.version += 1
      return { timelineId, lsn: end, writtenBytes: Number(grown - ours) }
    })
  }

  /** Of timelines that do not serve; to be given to `forget` when what was read of them is stored. */
  idle(isRunning: (timelineId: TimelineId) => boolean): Map<TimelineId, number> {
    const idle = [...this.#logs].filter(([id, { kept, held }]) => kept === 0 && !held && !isRunning(id))
    return new Map(idle.map(([id, { version }]) => [id, version]))
  }

  forget(idle: ReadonlyMap<TimelineId, number>, isRunning: (timelineId: TimelineId) => boolean): void {
    for (const [id, version] of idle) {
      const log = this.#logs.get(id)
      if (log?.version === version && log.kept === 0 && !log.held && !isRunning(id)) this.#logs.delete(id)
    }
  }

  #entry(timelineId: TimelineId): Log {
    const known = this.#logs.get(timelineId)
    if (known) return known
    const log: Log = {
      position: undefined,
      seen: this.#look(timelineId),
      held: false,
      ours: 0n,
      readAt: 0,
      version: 0,
      kept: 0,
    }
    this.#logs.set(timelineId, log)
    return log
  }

  async #look(timelineId: TimelineId): Promise<Lsn | undefined> {
    return await this.#read(timelineId, start).catch(() => undefined)
  }
}
