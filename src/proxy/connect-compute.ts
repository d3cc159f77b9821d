// Wake and dial, until a compute has answered or there is no point in going on.
//
// A known address may be stale: its compute was suspended or moved. Then it is forgotten and woken once more; twice in a row
// gone is a failure. "Not yet" is asked again at short intervals within a bounded time, after the first few through control: the
// compute may be shutting down and its successor answer somewhere else.

import { setTimeout as delay } from 'node:timers/promises'
import type { Socket } from 'node:net'
import { AppError } from '../model/errors.ts'
import { dial, socketPathOf } from './dial.ts'
import type { Waker } from './wake.ts'

export type ConnectedCompute = { socket: Socket; socketPath: string }

const notYetLimitMs = 30_000
const firstPauseMs = 4
const lastPauseOnTrustMs = 16
const longestPauseMs = 100
const mostGone = 2

export async function connectCompute(
  waker: Waker,
  endpointId: string,
  startupMessage: Buffer,
  isWanted: () => boolean,
  onDial: () => void,
): Promise<ConnectedCompute> {
  const deadline = performance.now() + notYetLimitMs
  let pauseMs = firstPauseMs
  let gone = 0
  for (;;) {
    const compute = await waker.compute(endpointId)
    if (!isWanted()) throw new AppError('unavailable', 'the client went away')
    const socketPath = socketPathOf(compute)
    onDial()
    const outcome = await dial(socketPath, startupMessage)
    switch (outcome.kind) {
      case 'answered':
        return { socket: outcome.socket, socketPath }
      case 'gone':
        waker.forgetStale(endpointId, compute)
        if (++gone >= mostGone) {
          throw new AppError('compute_start_failed', 'nothing answers where the compute should be', {
            cause: outcome.cause,
          })
        }
        break
      case 'not_yet':
        if (pauseMs > lastPauseOnTrustMs) waker.forgetStale(endpointId, compute)
        gone = 0
        if (performance.now() > deadline) {
          throw new AppError('compute_start_failed', 'the compute does not accept connections yet')
        }
        await delay(pauseMs)
        pauseMs = Math.min(pauseMs * 2, longestPauseMs)
    }
  }
}
