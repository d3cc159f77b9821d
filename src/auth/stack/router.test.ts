import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { routes } from './router.ts'

test('no route hides another', () => {
  const seen = new Map<string, string>()
  for (const { method, path } of routes) {
    const shape = `${method} ${path.replaceAll(/:[a-z]+/g, ':')}`
    assert.equal(seen.get(shape), undefined, shape)
    seen.set(shape, path)
  }
  // A word is asked for before a name that would take it.
  for (const [at, { method, path }] of routes.entries()) {
    const pattern = new RegExp(`^${path.replaceAll(/:[a-z]+/g, '[^/]+')}$`)
    const hidden = routes.slice(at + 1).find((later) => later.method === method && pattern.test(later.path))
    assert.equal(hidden, undefined, `${method} ${path} comes before ${hidden?.path}`)
  }
})

/** Money, an app's own mails, and what only the vendor's own pages do: answered with 404 like anything that is not there. */
const notHere = [
  '/analytics/events/batch',
  '/session-replays/batch',
  '/check-feature-support',
  '/internal/projects/transfer',
  '/oauth',
  '/health',
  '/handler',
  '/cdn-cgi/trace',
]

test('whatever the published clients ask for has an answer of its own', () => {
  const folders = [
    'node_modules/@stackframe/stack-shared/dist/esm/interface',
    'node_modules/stackframe-js-2025/node_modules/@stackframe/stack-shared/dist/esm/interface',
  ]
  const asked = new Set<string>()
  for (const folder of folders)
    for (const file of ['client-interface.js', 'server-interface.js']) {
      const text = readFileSync(new URL(`../../../${folder}/${file}`, import.meta.url), 'utf8')
      for (const [, path = ''] of text.matchAll(/["'`](\/[a-z][a-z-]+\/?[^"'`\s?]*)[?"'`]/g)) asked.add(path)
    }
  const patterns = routes.map(({ path }) => new RegExp(`^${path.replaceAll(/:[a-z]+/g, '[^/]+')}$`))
  const unanswered = [...asked].filter((path) => {
    if (/^\/(payments|auth\/oauth|api)\b/.test(path) || notHere.includes(path)) return false
    const plain = path.replaceAll(/\$\{[^}]+\}/g, 'x').replace(/\/$/, '')
    return !patterns.some((pattern) => pattern.test(plain))
  })
  assert.ok(asked.size > 60)
  assert.deepEqual(unanswered, [])
})
