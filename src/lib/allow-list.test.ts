import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isAllowed, isPrivate, plainAddress } from './allow-list.ts'

test('single addresses, ranges and networks, of both families', () => {
  const list = ['1.2.3.4', '10.0.0.5-10.0.0.9', '192.168.0.0/16', '2001:db8::1', '2001:db8:1::/48', ' 5.6.7.8 ']
  for (const address of [
    '1.2.3.4',
    '::ffff:1.2.3.4',
    '10.0.0.5',
    '10.0.0.9',
    '192.168.255.1',
    '2001:db8::1',
    '2001:0db8:0:0::1',
    '2001:db8:1:2::3',
    '5.6.7.8',
  ]) {
    assert.ok(isAllowed(address, list), address)
  }
  for (const address of [
    '1.2.3.5',
    '10.0.0.4',
    '10.0.0.10',
    '192.169.0.1',
    '2001:db8::2',
    '2001:db8:2::1',
    '::1',
    '127.0.0.1',
  ]) {
    assert.ok(!isAllowed(address, list), address)
  }
})

test('what cannot be read matches nothing, and nobody comes from nowhere', () => {
  const broken = [
    '',
    'x',
    '1.2.3',
    '1.2.3.4/33',
    '1.2.3.9-1.2.3.1',
    '1.2.3.4-2001:db8::1',
    '1.2.3.4/x',
    '*',
    '0.0.0.0/-1',
  ]
  for (const address of ['1.2.3.4', '1.2.3.5', '0.0.0.0', '2001:db8::1', 'x', '']) {
    assert.ok(!isAllowed(address, broken), address)
  }
  assert.ok(!isAllowed(undefined, ['0.0.0.0/0', '::/0']))
  assert.ok(isAllowed('9.9.9.9', ['0.0.0.0/0']))
})

test('private addresses', () => {
  for (const address of [
    '127.0.0.1',
    '10.1.1.1',
    '172.31.0.1',
    '192.168.1.1',
    '::1',
    'fd00::1',
    'fe80::1%eth0',
    '::ffff:10.0.0.1',
  ]) {
    assert.ok(isPrivate(address), address)
  }
  for (const address of ['8.8.8.8', '172.32.0.1', '2001:db8::1', undefined, 'x'])
    assert.ok(!isPrivate(address), address)
  assert.equal(plainAddress('::ffff:1.2.3.4'), '1.2.3.4')
})
