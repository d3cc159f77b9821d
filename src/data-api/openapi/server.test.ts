import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serverOfHost, serverOfUri } from './server.ts'

test('where a URI leads to, with its port', () => {
  assert.deepEqual(serverOfUri('https://example.com'), { host: 'example.com:443', basePath: '/', schemes: ['https'] })
  assert.deepEqual(serverOfUri('HTTP://[::1]:80/a/b'), { host: '[::1]:80', basePath: '/a/b', schemes: ['http'] })
  for (const none of ['example.com', 'ftp://example.com', 'https://', 'http:/x', ''])
    assert.equal(serverOfUri(none), undefined)
})

test('a host is told on where it is one', () => {
  for (const host of ['localhost:3000', 'a-b.example.com', '127.0.0.1', '[::1]:3000'])
    assert.equal(serverOfHost(host).host, host)
  for (const host of [undefined, '', 'a/b', 'user@host', 'a b', '"', 'host:port', 'host:123456'])
    assert.equal(serverOfHost(host).host, undefined, host)
})
