import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '../lib/logger.ts'
import type { AuditRecord } from '../model/audit.ts'
import type { UserId } from '../model/ids.ts'
import { AppError } from '../model/errors.ts'
import type { Store } from '../store/database.ts'
import { AuditLog } from './audit-log.ts'

const record = (requestId: string): AuditRecord => ({
  at: new Date(),
  actor: { kind: 'user', userId: 'u' as UserId, keyId: 1 },
  orgId: undefined,
  operationId: 'updateProject',
  resources: {},
  status: 200,
  requestId,
  peer: '',
})

/** A control database that takes what it is given, unless it is told to fail. */
function logInto(): {
  log: AuditLog
  written: string[]
  batches: number[]
  failWith: (error: Error | undefined) => void
} {
  const written: string[] = []
  const batches: number[] = []
  let failure: Error | undefined
  const quick: Store['quick'] = async (_, [json]) => {
    await new Promise(setImmediate)
    if (failure) throw failure
    const ids = (JSON.parse(String(json)) as { request_id: string }[]).map((entry) => entry.request_id)
    batches.push(ids.length)
    written.push(...ids)
  }
  const store = { quick } as unknown as Store
  return {
    log: new AuditLog(() => ({ store, logger: silentLogger })),
    written,
    batches,
    failWith: (error) => {
      failure = error
    },
  }
}

const away = new AppError('control_database_unavailable', 'away')

test('every entry is written once and in order, whoever asks for it at the same time', async () => {
  const { log, written, batches } = logInto()
  const ids = Array.from({ length: 1200 }, (_, n) => String(n))
  for (const id of ids.slice(0, 700)) log.record(record(id))
  const flushes = [log.flush(), log.flush()]
  for (const id of ids.slice(700)) log.record(record(id))
  await Promise.all([...flushes, log.flush()])
  await log.close()
  assert.deepEqual(written, ids)
  assert.ok(batches.length < 10, 'many in one statement')
})

test('what was done while the control database is away is written when it is back', async () => {
  const { log, written, failWith } = logInto()
  failWith(away)
  log.record(record('a'))
  await assert.rejects(log.flush(), { code: 'control_database_unavailable' })
  log.record(record('b'))
  failWith(undefined)
  await log.flush()
  await log.close()
  assert.deepEqual(written, ['a', 'b'])
})

test('a database that is away for long does not take our memory: the oldest go', async () => {
  const { log, written, failWith } = logInto()
  failWith(away)
  for (let n = 0; n < 10_005; n++) log.record(record(String(n)))
  failWith(undefined)
  await log.close()
  assert.equal(written.length, 10_000)
  assert.deepEqual([written[0], written.at(-1)], ['5', '10004'])
})

test('what cannot be stored does not keep what follows from it', async () => {
  const { log, written, failWith } = logInto()
  failWith(new Error('invalid input'))
  log.record(record('bad'))
  await log.flush()
  failWith(undefined)
  log.record(record('good'))
  await log.close()
  assert.deepEqual(written, ['good'])
})
