// Parks the sessions of a compute that control wants to stop.
//
// A session is compared with a fresh one of the same client. One fresh session does for all clients that came in the same way, so a
// hundred connections of one application cost one more.

import type { ParkReport, ParkRequest } from './control-plane.ts'
import type { DirectSession } from './direct-session.ts'
import { openServerAt } from './open-server.ts'
import { answersTo } from './server-answers.ts'
import {
  readCheckAnswer,
  writeCheck,
  writeLoadProcedural,
  type FreshState,
  type SessionState,
} from './session-check.ts'

/** Something else that uses the same compute: the pooler, SQL over HTTP. */
export type OtherUser = {
  /** Gives up what is idle, and returns how much is at work and how many clients it serves. */
  park(computeName: string): { busy: number; clients: number }
}

const atOnce = 8
const pauseMs = 20

export class Parking {
  readonly #others: readonly OtherUser[]
  readonly #sessions = new Map<string, Set<DirectSession>>()

  constructor(others: readonly OtherUser[]) {
    this.#others = others
  }

  add(session: DirectSession): void {
    const name = session.target.computeName
    const sessions = this.#sessions.get(name) ?? new Set()
    this.#sessions.set(name, sessions.add(session))
    void session.ended.then(() => {
      sessions.delete(session)
      if (sessions.size === 0 && this.#sessions.get(name) === sessions) this.#sessions.delete(name)
    })
  }

  /** Never rejects. */
  async park(request: ParkRequest): Promise<ParkReport> {
    const deadline = performance.now() + request.patienceMs
    for (;;) {
      const report = await this.#round(request)
      if (report.busy === 0 || performance.now() >= deadline) return report
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
  }

  async #round({ endpointId, endHeld }: ParkRequest): Promise<ParkReport> {
    const report: ParkReport = { parked: 0, busy: 0, held: 0 }
    for (const other of this.#others) {
      const { busy, clients } = other.park(endpointId)
      report.busy += busy
      report.parked += clients
    }
    const fresh = new Map<string, Promise<FreshState | undefined>>()
    const sessions = [...(this.#sessions.get(endpointId) ?? [])]
    for (let at = 0; at < sessions.length; at += atOnce) {
      const some = sessions.slice(at, at + atOnce)
      await Promise.all(
        some.map(async (session) => {
          const outcome = await session.park(() => this.#freshLike(session, fresh))
          if (outcome === 'held' && endHeld) session.endHeld()
          else report[outcome]++
        }),
      )
    }
    return report
  }

  #freshLike(
    session: DirectSession,
    known: Map<string, Promise<FreshState | undefined>>,
  ): Promise<FreshState | undefined> {
    const { parameters, keys } = session.target
    const name = JSON.stringify([parameters, keys.clientKey.toString('base64')])
    const found = known.get(name) ?? this.#askFresh(session)
    known.set(name, found)
    return found
  }

  async #askFresh({ target, pgMajor: major, socketPath }: DirectSession): Promise<FreshState | undefined> {
    if (socketPath === undefined) return undefined
    try {
      const { socket, parameters } = await openServerAt(socketPath, target)
      try {
        const look = async (): Promise<SessionState | undefined> => {
          const answer = readCheckAnswer(await answersTo(socket, writeCheck(major), 1))
          return answer?.kind === 'state' ? answer.state : undefined
        }
        const plain = await look()
        if (!plain) return undefined
        await answersTo(socket, writeLoadProcedural(), 1)
        return { plain, procedural: await look(), parameters }
      } finally {
        socket.destroy()
      }
    } catch {
      return undefined
    }
  }
}
