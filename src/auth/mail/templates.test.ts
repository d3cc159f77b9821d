import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isAppError } from '../../model/errors.ts'
import { authMail, type MailInput } from './templates.ts'

const link = { to: 'ada@example.com', appName: 'Notes', url: 'https://app.example/x?a=1&b=2', expiresInMinutes: 60 }
const inputs: MailInput[] = [
  { kind: 'verification', ...link },
  { kind: 'verification', ...link, url: undefined, code: '123456' },
  { kind: 'password_reset', ...link },
  { kind: 'sign_in', ...link, code: 'ABC234' },
  { kind: 'sign_in', ...link, url: undefined, code: '654321' },
  { kind: 'invitation', ...link, organizationName: 'Analytical Engines', inviterName: 'Charles' },
  { kind: 'email_change', ...link, newEmail: 'ada@new.example' },
]

test('each mail has its link or its code, in both of its parts, and the name of the app', () => {
  for (const input of inputs) {
    const { subject, text, html, to } = authMail(input)
    assert.equal(to, 'ada@example.com')
    assert.match(subject, /Notes/)
    if (input.url !== undefined) {
      assert.ok(text.split('\n').includes(input.url), 'a link stands alone in its line')
      assert.ok(html.includes('href="https://app.example/x?a=1&amp;b=2"'))
    }
    if (input.code !== undefined) for (const part of [text, html]) assert.ok(part.includes(input.code))
  }
  assert.deepEqual(
    inputs.map((input) => authMail(input).kind),
    [
      'verification_link',
      'verification_code',
      'password_reset',
      'magic_link',
      'sign_in_code',
      'invitation',
      'email_change',
    ],
  )
})

test('names are text: they end no line of a header and begin no tag', () => {
  const hostile = `Evil\r\nBcc: all@example.com\r\n\r\n<script>alert(1)</script>"'&\u0000\u2028\u202e${'x'.repeat(500)}`
  for (const input of inputs) {
    const { subject, text, html } = authMail({
      ...input,
      appName: hostile,
      ...(input.kind === 'invitation' && { organizationName: hostile, inviterName: hostile }),
    })
    // oxlint-disable-next-line no-control-regex -- these are what is looked for
    assert.doesNotMatch(subject, /[\u0000-\u001f\u007f\u2028\u202e]/)
    assert.ok(subject.length <= 80)
    assert.doesNotMatch(html, /<script|"'&[^#a-z]/)
    assert.ok(text.length < 2_000 && html.length < 4_000)
  }
})

test('who invites cannot have us send a link of his', () => {
  const { subject, text } = authMail({
    kind: 'invitation',
    ...link,
    organizationName: 'Win at https://evil.example/prize now',
    inviterName: 'evil.example@evil.example',
  })
  for (const part of [subject, text.replace(link.url, '')]) assert.doesNotMatch(part, /evil\.example|:\/\/|@/)
})

test('only addresses that can be nothing else are written to, and only web addresses are links', () => {
  for (const to of [
    '',
    'nobody',
    'a@b@c',
    'a@example.com, b@example.com',
    'a@example.com\r\nBcc: b@example.com',
    'a\u0000@example.com',
    '<a@example.com>',
    '"a b"@example.com',
    'group:a@example.com;',
    'a(comment)@example.com',
    `${'a'.repeat(250)}@example.com`,
  ]) {
    assert.throws(
      () => authMail({ kind: 'verification', ...link, to }),
      (error) => isAppError(error, 'bad_request'),
      to,
    )
  }
  for (const url of ['javascript:alert(1)', 'data:text/html,x', '/relative', 'https://']) {
    assert.throws(
      () => authMail({ kind: 'verification', ...link, url }),
      (error) => isAppError(error, 'internal'),
      url,
    )
  }
  const { html } = authMail({ kind: 'verification', ...link, url: 'https://app.example/"><script>x</script>' })
  assert.doesNotMatch(html, /<script/)
})
