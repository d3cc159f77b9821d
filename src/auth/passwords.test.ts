import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { hashPassword, verifyPassword } from 'better-auth/crypto'
import { hashSync } from 'bcryptjs'
import { isAppError } from '../model/errors.ts'
import { isImportableHash, Passwords } from './passwords.ts'

const integration = 'an-integration'
const passwords = new Passwords()
after(() => passwords.close())

test('what we store Better Auth verifies, and the reverse', async () => {
  // The same letters, composed and decomposed: NFKC makes them one.
  const composed = 'Gr\u00fc\u00dfe, \ufb01ne!'
  const decomposed = 'Gru\u0308\u00dfe, fine!'
  const ours = await passwords.hash(integration, composed)
  assert.match(ours, /^[0-9a-f]{32}:[0-9a-f]{128}$/)
  assert.equal(await verifyPassword({ hash: ours, password: decomposed }), true)
  const theirs = await hashPassword(composed)
  assert.equal(await passwords.verify(integration, theirs, decomposed), true)
  assert.equal(await passwords.verify(integration, theirs, 'another'), false)
  assert.notEqual(await passwords.hash(integration, composed), ours, 'each has a salt of its own')
})

test('passwords that were hashed with bcrypt elsewhere', async () => {
  for (const prefix of ['$2a$', '$2b$', '$2y$']) {
    const stored = hashSync('open sesame', 6).replace(/^\$2.\$/, prefix)
    assert.equal(passwords.isImported(stored), true)
    assert.equal(await passwords.verify(integration, stored, 'open sesame'), true)
    assert.equal(await passwords.verify(integration, stored, 'open barley'), false)
  }
})

test('hashes that would cost more than ours are not worked on', async () => {
  const dear = hashSync('secret', 4).replace('$04$', '$31$')
  assert.equal(isImportableHash(dear), false)
  assert.equal(isImportableHash(dear.replace('$31$', '$12$')), true)
  assert.equal(isImportableHash(dear.replace('$31$', '$13$')), false)
  assert.equal(isImportableHash('$2x$10$'), false)
  assert.equal(await passwords.verify(integration, dear, 'secret'), false)
})

test('whatever else stands where a hash should is nobody’s password', async () => {
  for (const stored of ['', ':', 'a:b', 'secret', `${'0'.repeat(32)}:${'0'.repeat(126)}`, `${'0'.repeat(1e6)}:00`]) {
    assert.equal(await passwords.verify(integration, stored, 'secret'), false)
  }
  assert.equal(await passwords.verifyNothing(integration, 'secret'), false)
  assert.equal(await passwords.verify(integration, await passwords.hash(integration, 'x'), 'x'.repeat(2000)), false)
  await assert.rejects(passwords.hash(integration, 'x'.repeat(2000)), (error) => isAppError(error, 'bad_request'))
})

test('a flood hears when to come again, and keeps nobody else out', async () => {
  const flood = Array.from({ length: 200 }, () => passwords.verifyNothing('flooded', 'guess'))
  const other = passwords.hash('another', 'secret')
  const results = await Promise.allSettled(flood)
  const refused = results.filter((each) => each.status === 'rejected')
  assert.ok(refused.length > 100, 'most find no room')
  for (const { reason } of refused) {
    assert.ok(isAppError(reason, 'rate_limited') && (reason.retryAfterSeconds ?? 0) >= 1)
  }
  assert.match(await other, /^[0-9a-f]{32}:/)
})
