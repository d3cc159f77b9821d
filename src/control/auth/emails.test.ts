import assert from 'node:assert/strict'
import { test } from 'node:test'
import { normalEmail } from './emails.ts'

test('what people mean by the same address is the same text', () => {
  assert.equal(normalEmail('Some.Body@Example.COM'), 'some.body@example.com')
  assert.equal(normalEmail('ｓｏｍｅｂｏｄｙ＠example.com'), 'somebody@example.com')
})

test('what would be more than one address, or none, is refused', () => {
  const cases = [
    'nobody',
    '@example.com',
    'a@b@c',
    'a b@example.com',
    'a@example.com\r\nBcc: b@example.com',
    '<a@b.c>',
    'a,b@c.d',
    '\ud800@b.c',
  ]
  for (const given of cases) assert.throws(() => normalEmail(given), { code: 'bad_request' }, JSON.stringify(given))
})
