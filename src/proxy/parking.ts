// Parks the sessions of a compute that control wants to stop.
//
// A session is compared with a fresh one of the same client. One fresh session does for all clients that came in the same way, so a
// hundred connections of one application cost one more.

import type { ParkReport, ParkRequest } from './control-plane.ts'
import type { DirectSession } from './direct-session.ts'
import { refusals } from './errors.ts'
import { openServerAt } from './open-server.ts'
import type { Refusal } from './refusal.ts'
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
  /**
   * Gives up what is idle, and returns how much is at work and how many clients it serves. `isLeaving`: the compute will be stopped, and what comes
   * free is given up as well.
   */
  park(computeName: string, isLeaving: boolean): { busy: number; clients: number }
  /** It cannot be had from now on: whoever comes new is to hear that. */
  refuse?(computeName: string): void
  /** Clients that are still at work there are told this as their last word. */
  end?(computeName: string, farewell: Refusal): void
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
  async park({ endpointId, mode, patienceMs, endHeld, farewell }: ParkRequest): Promise<ParkReport> {
    const deadline = performance.now() + patienceMs
    const last = farewell === undefined ? undefined : refusals.quotaExceeded(farewell)
    if (last) for (const other of this.#others) other.refuse?.(endpointId)
    const [sessions, others] = await Promise.all([
      this.#parkSessions(endpointId, deadline, endHeld, last),
      this.#parkOthers(endpointId, deadline, mode === 'drain'),
    ])
    if (last) {
      for (const session of this.#sessions.get(endpointId) ?? []) session.leave(last)
      for (const other of this.#others) other.end?.(endpointId, last)
    }
    return { ...sessions, parked: sessions.parked + others.clients, busy: sessions.busy + others.busy }
  }

  async #parkSessions(
    name: string,
    deadline: number,
    endHeld: boolean,
    last: Refusal | undefined,
  ): Promise<ParkReport> {
    const report: ParkReport = { parked: 0, busy: 0, held: 0 }
    const fresh = new Map<string, Promise<FreshState | undefined>>()
    const waiting = [...(this.#sessions.get(name) ?? [])]
    const worker = async (): Promise<void> => {
      for (let session = waiting.pop(); session; session = waiting.pop()) {
        const like = session
        const outcome = await session.park(() => this.#freshLike(like, fresh), deadline)
        if (outcome === 'held' && endHeld) {
          if (last) session.leave(last)
          else session.endHeld()
        } else report[outcome]++
      }
    }
    // Those at rest first: whoever is busy may take all the time there is.
    waiting.sort((a, b) => Number(a.isAtRest) - Number(b.isAtRest))
    const isPatient = deadline > performance.now()
    await Promise.all(Array.from({ length: isPatient ? waiting.length : Math.min(waiting.length, atOnce) }, worker))
    return report
  }

  async #parkOthers(name: string, deadline: number, isLeaving: boolean): Promise<{ busy: number; clients: number }> {
    for (;;) {
      const sum = { busy: 0, clients: 0 }
      for (const other of this.#others) {
        const { busy, clients } = other.park(name, isLeaving)
        sum.busy += busy
        sum.clients += clients
      }
      if (sum.busy === 0 || performance.now() >= deadline) return sum
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
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
