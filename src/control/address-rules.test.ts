import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isAppError } from '../model/errors.ts'
import { addressRules, assertAllowedIps } from './address-rules.ts'

const settings = (ips: string[], protectedOnly: boolean) => ({
  allowed_ips: { ips, protected_branches_only: protectedOnly },
})

test('a list applies where it is not empty, and to protected branches only where that is said', () => {
  const ips = ['10.0.0.1']
  assert.equal(addressRules({}, true).allowedIps, undefined)
  assert.equal(addressRules(settings([], false), true).allowedIps, undefined)
  assert.deepEqual(addressRules(settings(ips, false), false).allowedIps, ips)
  assert.equal(addressRules(settings(ips, true), false).allowedIps, undefined)
  assert.deepEqual(addressRules(settings(ips, true), true).allowedIps, ips)
  assert.equal(addressRules({ block_public_connections: true }, false).publicBlocked, true)
})

test('addresses, ranges and networks of both families can be allowed, and nothing else', () => {
  assertAllowedIps([
    '10.0.0.1',
    '::1',
    '10.0.0.0/8',
    '0.0.0.0/0',
    '2001:db8::/32',
    '10.0.0.1-10.0.0.2',
    'fd00::1 - fd00::9',
  ])
  for (const entry of [
    '10.0.0',
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/',
    '10.0.0.2-10.0.0.1',
    '10.0.0.1-::1',
    'a',
    '',
    7,
  ]) {
    assert.throws(
      () => assertAllowedIps([entry]),
      (error) => isAppError(error, 'bad_request'),
      String(entry),
    )
  }
  assert.throws(() => assertAllowedIps(Array.from({ length: 1001 }, () => '10.0.0.1')), /more than 1000/)
})
