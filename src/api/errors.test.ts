import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AppError } from '../model/errors.ts'
import { errorAnswer } from './errors.ts'

test('an error of the caller shows its message and machine code', () => {
  const error = new AppError('unprocessable', 'branches limit exceeded', { apiCode: 'BRANCHES_LIMIT_EXCEEDED' })
  assert.deepEqual(errorAnswer(error, 'r1'), {
    status: 422,
    retryAfterSeconds: undefined,
    body: { code: 'BRANCHES_LIMIT_EXCEEDED', message: 'branches limit exceeded', request_id: 'r1' },
  })
})

test('what may be repeated as it is says when', () => {
  assert.equal(errorAnswer(new AppError('locked', 'busy'), 'r').retryAfterSeconds, 1)
  assert.equal(errorAnswer(new AppError('locked', 'busy'), 'r').status, 423)
  assert.equal(errorAnswer(new AppError('rate_limited', 'slow', { retryAfterSeconds: 7 }), 'r').retryAfterSeconds, 7)
  assert.equal(errorAnswer(new AppError('unavailable', 'away'), 'r').status, 503)
  assert.equal(errorAnswer(new AppError('disk_full', 'full'), 'r').status, 507)
  assert.equal(errorAnswer(new AppError('disk_full', 'full'), 'r').retryAfterSeconds, undefined)
})

test('what went wrong inside stays inside', () => {
  for (const error of [
    new Error('password=secret'),
    'secret',
    undefined,
    new AppError('storage_failed', 'secret path'),
    new AppError('internal', 'secret'),
    new AppError('not_found', 'no such branch', { cause: new Error('secret') }),
  ])
    assert.doesNotMatch(JSON.stringify(errorAnswer(error, 'r')), /secret/)
  assert.equal(errorAnswer(new Error('x'), 'r').status, 500)
})
