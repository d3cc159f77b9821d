import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isTrustedOrigin, isTrustedRedirect, type RedirectRules } from './redirects.ts'

const rules = (trustedDomains: string[], allowLocalhost = false): RedirectRules => ({
  baseUrl: 'https://ep-a.neonauth.db.test/app/auth',
  trustedDomains,
  settings: { allowLocalhost },
})
const usual = rules([
  'https://app.example.com',
  'https://*.preview.app',
  'https://app-*.builds.dev',
  'http://plain.example.com:8080',
  'https://bücher.example',
])

test('trusted domains are trusted by scheme, host and port, whatever the path', () => {
  for (const url of [
    'https://app.example.com',
    'https://app.example.com/',
    'https://app.example.com:443/handler/oauth-callback?a=//evil.test',
    'HTTPS://APP.EXAMPLE.COM/x#y',
    'https://one.preview.app/x',
    'https://app-12.builds.dev/',
    'http://plain.example.com:8080/x',
    'https://bücher.example/',
    'https://xn--bcher-kva.example/',
    'https://ep-a.neonauth.db.test/app/auth',
    'https://ep-a.neonauth.db.test/app/auth/callback/google',
  ])
    assert.ok(isTrustedRedirect(usual, url), url)
})

test('nothing else is, and nothing that parsers could disagree about', () => {
  for (const url of [
    '',
    'app.example.com',
    'http://app.example.com/',
    'https://app.example.com:8443/',
    'https://app.example.com.evil.test/',
    'https://app.example.com./',
    'https://evil.test/https://app.example.com',
    'https://evilapp.example.com/',
    'https://sub.app.example.com/',
    'https://preview.app/',
    'https://a.b.preview.app/',
    'https://.preview.app/',
    'https://app-.builds.dev/',
    'https://evil.test?.preview.app',
    'https://evil.test#.preview.app',
    'https://evil.test/.preview.app',
    'https://evil.test\\.preview.app',
    'http://plain.example.com/',
    'https://plain.example.com:8080/',
    'https://app.example.com@evil.test/',
    'https://user@app.example.com/',
    'https://:@app.example.com/',
    'https://@app.example.com/',
    'https://app.example.com\\@evil.test/',
    'https:\\\\app.example.com/',
    'https:app.example.com/',
    'https:/app.example.com/',
    'https:///app.example.com/',
    'https://app%2eexample.com/',
    'https://app.example.com%00.evil.test/',
    'https://app.example.com/\r\nLocation: https://evil.test',
    'https://app.exa\tmple.com/',
    ' https://app.example.com/',
    'https://app.example.com/ ',
    'https://app.example.com/\u0000',
    'https://app.example.com/\u2028',
    'javascript:alert(1)//https://app.example.com',
    'data:text/html,x',
    'file:///etc/passwd',
    'ftp://app.example.com/',
    'blob:https://app.example.com/x',
    'myapp://callback',
    '//app.example.com/',
    '/relative',
    'https://ep-a.neonauth.db.test/',
    'https://ep-a.neonauth.db.test/app/authority',
    'https://ep-a.neonauth.db.test/app/auth/../../other/auth',
    'https://ep-a.neonauth.db.test/app/auth/%2e%2e/%2e%2e/other',
    'http://ep-a.neonauth.db.test/app/auth',
    'http://localhost:3000/',
    'http://127.0.0.1/',
    'http://[::1]/',
    'https://app.example.com/' + 'x'.repeat(5000),
  ])
    assert.equal(isTrustedRedirect(usual, url), undefined, JSON.stringify(url))
})

test('localhost in its forms, and only where it is allowed', () => {
  const local = rules([], true)
  for (const url of [
    'http://localhost',
    'http://localhost:3000/x',
    'https://localhost:3000',
    'http://127.0.0.1:5173/',
    'http://[::1]:5173/',
    'http://app.localhost:3000/',
  ]) {
    assert.ok(isTrustedRedirect(local, url), url)
    assert.equal(isTrustedRedirect(rules([]), url), undefined, url)
  }
  for (const url of [
    'http://localhost.evil.test/',
    'http://evillocalhost/',
    'http://127.0.0.1.evil.test/',
    'http://127.0.0.2/',
    'http://0.0.0.0/',
    'http://[::ffff:127.0.0.1]/',
    'http://localhost@evil.test/',
    'ftp://localhost/',
  ])
    assert.equal(isTrustedRedirect(local, url), undefined, url)
})

test('a domain that says too much, or is none, covers nothing', () => {
  for (const domain of [
    'https://*',
    'https://*.com',
    'https://*.*.com',
    'https://app.*.com',
    'https://app.*',
    'http://192.168.*.*',
    'http://10.*.0.1',
    '*',
    '*.preview.app',
    'https://a**b.preview.app',
    'https://*@x.preview.app',
    'https://*.preview.app:*',
    'ftp://a.preview.app',
    '',
  ]) {
    const wide = rules([domain])
    for (const url of [
      'https://evil.com/',
      'https://app.evil.com/',
      'https://a.b.com/',
      'http://192.168.0.1/',
      'http://10.9.0.1/',
      'https://axxb.preview.app/',
      'https://a.preview.app/',
    ])
      assert.equal(isTrustedRedirect(wide, url), undefined, `${domain} ${url}`)
  }
})

test('paths of our own origin, where they will do', () => {
  for (const path of ['/', '/dashboard', '/a/b?next=//evil.test#x', '/a%20b'])
    assert.equal(
      isTrustedRedirect(usual, path, { relative: true })?.href,
      new URL(path, 'https://ep-a.neonauth.db.test').href,
    )
  for (const path of [
    '//evil.test',
    '///evil.test',
    '/\\evil.test',
    '/a\\b',
    '/\t/evil.test',
    '/\n/evil.test',
    '/%2fevil.test',
    '/%5Cevil.test',
    '/x/..//evil.test',
    '/.//evil.test',
    ' /x',
    'x',
    './x',
  ])
    assert.equal(isTrustedRedirect(usual, path, { relative: true }), undefined, JSON.stringify(path))
})

test('a path leads to no other project’s sign-in, which would send on to wherever that one wants', () => {
  const shared = { ...usual, baseUrl: 'https://db.test/ep-a/app/auth' }
  for (const path of ['/', '/dashboard', '/ep-b', '/ep-a/app/auth/callback/google', '/api/v10'])
    assert.ok(isTrustedRedirect(shared, path, { relative: true }), path)
  const onward = '/magic-link/verify?token=x&callbackURL=https%3A%2F%2Fevil.test'
  for (const path of [
    `/ep-b/app/auth${onward}`,
    `/ep-a/other/auth${onward}`,
    `/x/../ep-b/app/auth${onward}`,
    `/ep-b/a%20b/auth${onward}`,
    '/ep-b/app/auth',
    '/api/v1/auth/oauth/callback/google?state=x',
  ]) {
    assert.equal(isTrustedRedirect(shared, path, { relative: true }), undefined, path)
    assert.equal(isTrustedRedirect(shared, `https://db.test${path}`), undefined, path)
  }
})

test('origins are compared whole and in their canonical form', () => {
  for (const origin of [
    'https://app.example.com',
    'https://x.preview.app',
    'http://plain.example.com:8080',
    'https://ep-a.neonauth.db.test',
  ])
    assert.ok(isTrustedOrigin(usual, origin), origin)
  for (const origin of [
    'null',
    '',
    'https://app.example.com/',
    'https://app.example.com:443',
    'https://APP.example.com',
    'https://app.example.com.evil.test',
    'http://app.example.com',
    'https://evil.test',
    'http://localhost:3000',
    '/',
  ])
    assert.equal(isTrustedOrigin(usual, origin), false, origin)
  assert.ok(isTrustedOrigin(rules([], true), 'http://localhost:3000'))
})

test('whatever passes leads, for a browser, to something that is trusted', () => {
  // Parts of URLs, and what parsers forgive in them; a space between two parts here.
  const parts =
    'https:// http:// https: / // \\ @ : . .. % %2e %2f %00 ? # * 443 8080 ａ 。 é x app.example.com preview.app a.preview.app'
  const more = 'evil.test localhost 127.0.0.1 ep-a.neonauth.db.test /app/auth'
  const piece = fc.constantFrom(...`${parts} ${more}`.split(' '), ' ', '\t', '\n', '\u00ad', '\u200b')
  const trusted = /^https:\/\/(app\.example\.com|[^./]+\.preview\.app)$/
  const both = rules(['https://app.example.com', 'https://*.preview.app'], true)
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(piece, { maxLength: 9 }).map((parts) => parts.join('')),
        fc.webUrl(),
        fc.string(),
      ),
      (text) => {
        const passed = isTrustedRedirect(both, text, { relative: true })
        if (passed === undefined) return
        // A browser resolves what it is sent against the page that it is on.
        const gone = new URL(text, 'https://ep-a.neonauth.db.test/app/auth/callback/google')
        assert.equal(gone.href, passed.href)
        assert.equal(gone.username + gone.password, '')
        const isOurs = gone.origin === 'https://ep-a.neonauth.db.test'
        const isLocal = /^https?:\/\/((.+\.)?localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(gone.origin)
        assert.ok(isOurs || isLocal || trusted.test(gone.origin), text)
      },
    ),
    { numRuns: 20_000 },
  )
})
