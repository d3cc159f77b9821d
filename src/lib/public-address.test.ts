import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { addressKind, isPublicAddress } from './public-address.ts'

test('addresses of the open internet are public', () => {
  for (const address of [
    '1.1.1.1',
    '9.255.255.255',
    '11.0.0.0',
    '93.184.216.34',
    '100.63.255.255',
    '100.128.0.0',
    '126.255.255.255',
    '128.0.0.1',
    '169.253.255.255',
    '169.255.0.0',
    '172.15.255.255',
    '172.32.0.0',
    '192.167.255.255',
    '192.169.0.0',
    '198.17.255.255',
    '198.20.0.0',
    '223.255.255.255',
    '2606:2800:220:1:248:1893:25c8:1946',
    '2a00:1450:4001:81b::200e',
  ])
    assert.equal(isPublicAddress(address), true, address)
})

test('what is reached inside a network, a machine or a cloud is not', () => {
  for (const address of [
    '0.0.0.0',
    '0.1.2.3',
    '10.0.0.1',
    '10.255.255.255',
    '100.64.0.1',
    '100.100.100.200',
    '100.127.255.255',
    '127.0.0.1',
    '127.255.255.254',
    '168.63.129.16',
    '169.254.0.1',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.0.0.192',
    '192.0.2.1',
    '192.168.0.1',
    '198.18.0.1',
    '198.19.255.255',
    '198.51.100.7',
    '203.0.113.9',
    '224.0.0.1',
    '239.255.255.250',
    '240.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::7f00:1',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '::ffff:1.1.1.1',
    '64:ff9b::7f00:1',
    '64:ff9b:1::1',
    '100::1',
    '2001::1',
    '2001:db8::1',
    '2002:7f00:1::',
    '3fff::1',
    'fc00::1',
    'fd00:ec2::254',
    'fe80::1',
    'fe80::1%eth0',
    '2606:2800::1%eth0',
    'fec0::1',
    'ff02::1',
  ])
    assert.equal(isPublicAddress(address), false, address)
})

test('this machine and networks of one’s own are private, but not where a cloud keeps its secrets', () => {
  for (const address of [
    '10.1.2.3',
    '100.64.0.1',
    '127.0.0.1',
    '172.16.0.1',
    '192.168.1.1',
    '::1',
    'fc00::1',
    'fd12::1',
  ])
    assert.equal(addressKind(address), 'private', address)
  for (const address of [
    '169.254.169.254',
    '100.100.100.200',
    '168.63.129.16',
    'fd00:ec2::254',
    'fd20:ce::254',
    '0.0.0.0',
    '::',
  ])
    assert.equal(addressKind(address), 'special', address)
  for (const address of ['::ffff:127.0.0.1', '::ffff:10.0.0.1', 'fe80::1', '224.0.0.1', 'ff02::1'])
    assert.equal(addressKind(address), 'special', address)
})

test('what is no address is not public', () => {
  for (const text of [
    '',
    'localhost',
    'example.com',
    '1.1.1',
    '1.1.1.1.1',
    '0x7f.0.0.1',
    '127.1',
    '1.1.1.1/8',
    '[::1]',
    ' 1.1.1.1',
  ])
    assert.equal(isPublicAddress(text), false, text)
})

test('no form of writing makes a v4 address inside a v6 one public', () => {
  fc.assert(
    fc.property(fc.ipV4(), (address) => {
      const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number)
      const tail = `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
      for (const text of [`::ffff:${address}`, `::ffff:${tail}`, `::${tail}`, `64:ff9b::${tail}`, `2002:${tail}::1`])
        assert.equal(isPublicAddress(text), false, text)
    }),
  )
})
