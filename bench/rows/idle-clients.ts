// Ten thousand clients at `-pooler` that have asked once and are silent: what each costs in memory, beside PgBouncer's.

import { setTimeout as delay } from 'node:timers/promises'
import type { Address } from '../../test/support/wire-session.ts'
import { openDataPaths, withoutPgBouncer, type Path, type PathName } from '../data-paths.ts'
import { cpuSecondsOfAll, memoryOfAll } from '../processes.ts'
import { oneValue, type Result, type Row } from '../row.ts'
import { askOnce, openSession, type WireSession } from '../../test/support/wire-session.ts'

const atOnce = 20
const warmUp = 100
/** Of memory that is let go of after a while. */
const looks = 5
const lookEveryMs = 1000

export const idleClients: Row = {
  name: 'idle-clients',
  slow: true,
  about: 'memory for 10,000 idle clients at -pooler, and 500 with TLS (--idle-clients, --idle-tls-clients)',
  async run({ idleClients: plain, idleTlsClients: tls }, say) {
    await using ways = await openDataPaths()
    const pathOf = (name: PathName): Path | undefined => ways.paths.find((path) => path.name === name)
    const costs = async (name: PathName, count: number): Promise<Cost | undefined> => {
      const path = pathOf(name)
      return path && (await measure(path, count, (made) => say(`${name}: ${made} of ${count}`)))
    }
    const result = async (name: PathName, bouncerName: PathName, count: number): Promise<Result[]> => {
      const bouncer = await costs(bouncerName, count)
      const cost = await costs(name, count)
      if (!cost) return []
      return [
        {
          what: `memory for each of ${count} idle clients, ${name}`,
          unit: 'kB',
          figures: oneValue(cost.kilobytes),
          floor: bouncer && { what: bouncerName, figures: oneValue(bouncer.kilobytes) },
          targets: [],
          note: [
            `edge ${cost.beforeMb.toFixed(0)} → ${cost.afterMb.toFixed(0)} MB`,
            `${cost.perSecond.toFixed(0)} logins/s, ${cost.cpuMillis.toFixed(2)} ms of CPU for each`,
            ...(bouncer ? [] : [withoutPgBouncer]),
          ].join('; '),
        },
      ]
    }
    // The few first: what the many have grown is not given back at once.
    return [...(await result('pooled TLS', 'PgBouncer TLS', tls)), ...(await result('pooled', 'PgBouncer', plain))]
  },
}

type Cost = { kilobytes: number; beforeMb: number; afterMb: number; perSecond: number; cpuMillis: number }

async function measure({ address, pids }: Path, count: number, say: (made: number) => void): Promise<Cost> {
  await warm(address)
  const beforeMb = await leastMb(pids)
  const clients = new IdleClients(address)
  try {
    const [began, cpu] = [performance.now(), await cpuSecondsOfAll(pids)]
    await clients.open(count, say)
    const seconds = (performance.now() - began) / 1000
    const cpuSpent = (await cpuSecondsOfAll(pids)) - cpu
    const afterMb = await leastMb(pids)
    if (!clients.alive) throw new Error('a client that did nothing was sent away')
    return {
      kilobytes: ((afterMb - beforeMb) * 1024) / count,
      beforeMb,
      afterMb,
      perSecond: count / seconds,
      cpuMillis: (cpuSpent / count) * 1000,
    }
  } finally {
    clients.close()
  }
}

/** What the first clients bring about is not the later ones'. */
async function warm(address: Address): Promise<void> {
  const clients = new IdleClients(address)
  await clients.open(warmUp, () => {})
  clients.close()
}

async function leastMb(pids: readonly number[]): Promise<number> {
  let least = Infinity
  for (let look = 0; look < looks; look++) {
    await delay(lookEveryMs)
    least = Math.min(least, (await memoryOfAll(pids)).pssMb)
  }
  return least
}

class IdleClients {
  readonly #address: Address
  readonly #sessions: WireSession[] = []

  constructor(address: Address) {
    this.#address = address
  }

  async open(count: number, say: (made: number) => void): Promise<void> {
    const { stretched } = await this.#openOne()
    let left = count - 1
    const worker = async (): Promise<void> => {
      while (left-- > 0) {
        await this.#openOne(stretched)
        if (this.#sessions.length % 100 === 0) say(this.#sessions.length)
      }
    }
    await Promise.all(Array.from({ length: atOnce }, worker))
  }

  /** Every one of them is still there. */
  get alive(): boolean {
    return this.#sessions.every(({ socket }) => !socket.destroyed && !socket.readableEnded)
  }

  close(): void {
    for (const { socket } of this.#sessions.splice(0)) socket.destroy()
  }

  async #openOne(known?: WireSession['stretched']): Promise<WireSession> {
    const session = await openSession(this.#address, known)
    this.#sessions.push(session)
    await askOnce(session, 'select 1')
    // What comes now, if anything, is not kept.
    session.socket.resume()
    return session
  }
}
