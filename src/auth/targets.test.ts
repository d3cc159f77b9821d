import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AuthTarget, AuthTargetName } from '../model/auth-target.ts'
import { isAppError } from '../model/errors.ts'
import { Targets } from './targets.ts'

const target = (integrationId: string, endpointId: string): AuthTarget =>
  ({ integrationId, endpointId, version: 1 }) as unknown as AuthTarget

const byId = (id: string): AuthTargetName => ({ kind: 'project', id })

function fake(answer: (name: AuthTargetName) => Promise<AuthTarget | undefined>): {
  targets: Targets
  asked: string[]
} {
  const asked: string[] = []
  const targets = new Targets({
    findTarget: async (name) => {
      asked.push(name.kind === 'project' ? name.id : name.endpointId)
      return await answer(name)
    },
  })
  return { targets, asked }
}

test('control is asked once for all who ask at the same time, and not again', async () => {
  const { targets, asked } = fake(async () => target('a', 'ep-a'))
  await Promise.all([targets.find(byId('a')), targets.find(byId('a'))])
  await targets.find(byId('a'))
  assert.deepEqual(asked, ['a'])
})

test('a change of an integration, of its endpoint or of anything makes it be asked for again', async () => {
  for (const changed of [{ integrationId: 'a' }, { endpointId: 'ep-a' }, {}]) {
    const { targets, asked } = fake(async ({ kind }) =>
      kind === 'project' ? target('a', 'ep-a') : target('b', 'ep-b'),
    )
    const other: AuthTargetName = { kind: 'endpoint', endpointId: 'ep-b', database: 'neondb' }
    await targets.find(byId('a'))
    await targets.find(other)
    targets.forget({ ...changed, what: 'all' })
    await targets.find(byId('a'))
    await targets.find(other)
    const isAll = Object.keys(changed).length === 0
    assert.deepEqual(asked, isAll ? ['a', 'ep-b', 'a', 'ep-b'] : ['a', 'ep-b', 'a'])
  }
})

test('where its compute answers is no part of it', async () => {
  const { targets, asked } = fake(async () => target('a', 'ep-a'))
  await targets.find(byId('a'))
  targets.forget({ endpointId: 'ep-a', what: 'address' })
  await targets.find(byId('a'))
  assert.deepEqual(asked, ['a'])
})

test('nothing is remembered for a moment, and until anything new is heard of', async () => {
  let found: AuthTarget | undefined
  const { targets, asked } = fake(async () => found)
  assert.equal(await targets.find(byId('a')), undefined)
  assert.equal(await targets.find(byId('a')), undefined)
  found = target('a', 'ep-a')
  targets.forget({ integrationId: 'a', what: 'all' })
  assert.equal(await targets.find(byId('a')), found)
  assert.deepEqual(asked, ['a', 'a'])
})

test('an answer that a change has overtaken is not believed', async () => {
  const answers = [target('a', 'ep-old'), target('a', 'ep-new')]
  const { targets } = fake(async () => {
    const answer = answers.shift()
    if (answers.length > 0) targets.forget({ integrationId: 'a', what: 'all' })
    return answer
  })
  assert.equal((await targets.find(byId('a')))?.endpointId, 'ep-new')
})

test('names that lead nowhere do not pile up at control', async () => {
  const { promise, resolve } = Promise.withResolvers<undefined>()
  const { targets, asked } = fake(() => promise)
  const questions = Array.from({ length: 200 }, (_, at) => targets.find(byId(String(at))))
  const outcomes = Promise.allSettled(questions)
  await Promise.resolve()
  resolve(undefined)
  const refused = (await outcomes).filter((outcome) => outcome.status === 'rejected')
  assert.equal(asked.length, 64)
  assert.equal(refused.length, 136)
  assert.ok(refused.every(({ reason }) => isAppError(reason, 'unavailable')))
})
