import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AppError } from '../model/errors.ts'
import type { RoleAccess } from './control-plane.ts'
import { RoleCache } from './role-cache.ts'

const access: RoleAccess = {
  projectId: 'project',
  verifier: 'SCRAM-SHA-256$…',
  allowedIps: undefined,
  publicBlocked: false,
  pgMajor: 17,
  poolSize: 10,
}

test('every change, and every time that control was away, is one more question, and nothing else is', async () => {
  let asked = 0
  const roles = new RoleCache({ lookupRole: async () => (asked++, access) }, () => undefined)
  const look = async (): Promise<number> => {
    for (let n = 0; n < 3; n++) assert.equal(await roles.lookup('ep-a', 'role'), access)
    return asked
  }
  assert.equal(await look(), 1)
  for (let round = 0; round < 50; round++) {
    const before = asked
    roles.changed('ep-a')
    assert.equal(await look(), before + 1)
    roles.changed('ep-b')
    assert.equal(await look(), before + 1)
    roles.allChanged()
    assert.equal(await look(), before + 2)
  }
})

test('an answer from before a change does not take the place of a newer one', async () => {
  const answers: ((access: RoleAccess) => void)[] = []
  const roles = new RoleCache({ lookupRole: () => new Promise((resolve) => answers.push(resolve)) }, () => undefined)
  const before = roles.lookup('ep-a', 'role')
  roles.changed('ep-a')
  const after = roles.lookup('ep-a', 'role')
  const newer = { ...access, poolSize: 20 }
  answers[1]?.(newer)
  assert.equal((await after)?.poolSize, 20)
  answers[0]?.(access)
  assert.equal((await before)?.poolSize, 10)
  assert.equal((await roles.lookup('ep-a', 'role'))?.poolSize, 20)
  assert.equal(answers.length, 2)
})

test('while control is away what was known has to do, also after a change', async () => {
  let away = false
  const roles = new RoleCache(
    {
      lookupRole: async () => {
        if (away) throw new AppError('unavailable', 'away')
        return access
      },
    },
    () => undefined,
  )
  await roles.lookup('ep-a', 'role')
  away = true
  roles.changed('ep-a')
  assert.equal(await roles.lookup('ep-a', 'role'), access)
  await assert.rejects(roles.lookup('ep-a', 'other'), { code: 'unavailable' })
})
