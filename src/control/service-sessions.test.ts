import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import type pg from 'pg'
import type { TimelineId } from '../model/ids.ts'
import { ServiceSessions } from './service-sessions.ts'

const id = 'abcdefghijkl' as TimelineId
const statement = { name: 'n', text: 'select 1', values: [] }

/** Counts its lives; what it answers is the test's affair. */
function fakes(answer: () => Promise<unknown[]>) {
  const made: { client: EventEmitter; ended: boolean }[] = []
  const sessions = new ServiceSessions(async () => {
    const one = { client: new EventEmitter(), ended: false }
    made.push(one)
    const end = async (): Promise<void> => void (one.ended = true)
    return Object.assign(one.client, { query: async () => ({ rows: await answer() }), end }) as unknown as pg.Client
  })
  return { made, sessions }
}

test('many questions are one connection, which ends when it is closed', async () => {
  const { made, sessions } = fakes(async () => [1])
  const answers = await Promise.all([1, 2, 3].map(() => sessions.query(id, statement, 1_000)))
  assert.deepEqual(answers, [[1], [1], [1]])
  assert.equal(made.length, 1)
  sessions.close(id)
  await sessions.query(id, statement, 1_000)
  assert.deepEqual(
    made.map(({ ended }) => ended),
    [true, false],
  )
  sessions.closeAll()
})

test('one that does not answer, fails or ends is not asked again', async () => {
  let answer: () => Promise<unknown[]> = () => new Promise(() => {})
  const { made, sessions } = fakes(() => answer())
  await assert.rejects(sessions.query(id, statement, 10), { code: 'unavailable' })
  answer = () => Promise.reject(new Error('broken'))
  await assert.rejects(sessions.query(id, statement, 1_000), /broken/)
  answer = async () => []
  await sessions.query(id, statement, 1_000)
  made.at(-1)?.client.emit('end')
  await sessions.query(id, statement, 1_000)
  assert.equal(made.length, 4)
  assert.ok(made.slice(0, 3).every(({ ended }) => ended))
  sessions.closeAll()
})
