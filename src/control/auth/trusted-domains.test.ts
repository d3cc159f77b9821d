import assert from 'node:assert/strict'
import { test } from 'node:test'
import { normalDomain } from './trusted-domains.ts'

test('a domain is kept as browsers write origins', async () => {
  const cases = {
    'https://app.example.com': 'https://app.example.com',
    'HTTPS://App.Example.COM/': 'https://app.example.com',
    'https://app.example.com:443': 'https://app.example.com',
    'http://localhost:3000': 'http://localhost:3000',
    'http://127.0.0.1:5173': 'http://127.0.0.1:5173',
    'https://bücher.example': 'https://xn--bcher-kva.example',
    'https://*.preview.app': 'https://*.preview.app',
    'https://*.Preview.example.com:8443/': 'https://*.preview.example.com:8443',
    'https://pr-*.example.co.uk': 'https://pr-*.example.co.uk',
    'https://vercel.app': 'https://vercel.app',
    'https://mine.vercel.app': 'https://mine.vercel.app',
  }
  for (const [given, kept] of Object.entries(cases)) assert.equal(await normalDomain(given), kept, given)
})

test('what would trust strangers, or means something else to a browser, is refused', async () => {
  const cases = [
    'https://*',
    'https://*.com',
    'https://*.co.uk',
    'https://app.*',
    'https://app.*.com',
    'https://*.vercel.app',
    'https://app-*.vercel.app',
    'https://*.github.io',
    'https://*.localhost',
    'https://**.example.com',
    'https://a*b*c.example.com',
    'https://user@app.example.com',
    'https://user:password@app.example.com',
    'https://app.example.com/path',
    'https://app.example.com?query',
    'https://app.example.com#fragment',
    'https://app.example.com\\@evil.example',
    'https://app%2eexample.com',
    'https://app.example.com.',
    'https://app..example.com',
    'https://app.example.com:99999',
    'https://*.0.0.1',
    'ftp://app.example.com',
    'javascript:alert(1)',
    '//app.example.com',
    'app.example.com',
    '',
    `https://${'a'.repeat(600)}.example.com`,
  ]
  for (const given of cases) await assert.rejects(normalDomain(given), { code: 'bad_request' }, given)
})
