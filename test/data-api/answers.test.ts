// What is told beside the rows, and what a refusal is, a line of PostgREST's documentation each, as far as other files do not try it already.
//
// https://docs.postgrest.org/en/v14/references/api.html

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { codeOf, useWorkshop } from './support/workshop.ts'

const engine = useWorkshop()

describe('what is told beside', () => {
  test('where it lies, in an order of its own', async () => {
    const read = await engine().ask('/tools?select=label&id=eq.1&a%C3%A4=is.null'.replace('&a%C3%A4=is.null', ''))
    assert.equal(read.headers.get('content-location'), '/tools?id=eq.1&select=label')
  })
  test('what may be done', async () => {
    const allowed = async (path: string): Promise<string | null> =>
      (await engine().ask(path, { method: 'OPTIONS' })).headers.get('allow')
    assert.equal(await allowed('/tools'), 'OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE')
    assert.equal(await allowed('/keyless'), 'OPTIONS,GET,HEAD,POST,PATCH,DELETE')
    assert.equal(await allowed('/shop_names'), 'OPTIONS,GET,HEAD')
    assert.equal(await allowed('/rpc/patience'), 'OPTIONS,GET,HEAD,POST')
    assert.equal(await allowed('/rpc/raise_it'), 'OPTIONS,POST')
    assert.equal(await allowed('/'), 'OPTIONS,GET,HEAD')
  })
  test('pages of other origins', async () => {
    const headers = {
      origin: 'https://a.example',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'prefer, x-client-info',
    }
    const preflight = await engine().ask('/tools', { method: 'OPTIONS', headers })
    assert.equal(preflight.status, 200)
    assert.equal(preflight.headers.get('access-control-allow-origin'), '*')
    assert.equal(preflight.headers.get('access-control-allow-methods'), 'GET, POST, PATCH, PUT, DELETE, OPTIONS, HEAD')
    assert.equal(
      preflight.headers.get('access-control-allow-headers'),
      'Authorization, prefer, x-client-info, Accept, Accept-Language, Content-Language',
    )
    assert.equal(preflight.headers.get('access-control-max-age'), '86400')
    const read = await engine().ask('/tools', { headers: { origin: 'https://a.example' } })
    assert.match(read.headers.get('access-control-expose-headers') ?? '', /Content-Range/)
    assert.equal((await engine().ask('/tools')).headers.get('access-control-allow-origin'), null)
  })
  test('how long it took, and whose it is', async () => {
    const read = await engine().ask('/tools', { headers: { 'x-trace': 'abc' } })
    assert.match(
      read.headers.get('server-timing') ?? '',
      /^jwt;dur=[\d.]+, parse;dur=[\d.]+, plan;dur=[\d.]+, transaction;dur=[\d.]+, response;dur=[\d.]+$/,
    )
    assert.equal(read.headers.get('x-trace'), 'abc')
  })
  test('HEAD is GET without its body', async () => {
    const head = await engine().ask('/tools', { method: 'HEAD', headers: { prefer: 'count=exact' } })
    assert.deepEqual([head.status, head.text, head.headers.get('content-range')], [200, '', '0-2/3'])
    assert.equal((await engine().ask('/nope', { method: 'HEAD' })).status, 404)
  })
  test('preferences that were kept to, in their order', async () => {
    const prefer =
      'count=exact, handling=lenient, timezone=Europe/Paris, resolution=merge-duplicates, missing=default, return=representation, tx=rollback'
    const made = await engine().ask('/tools?on_conflict=id&columns=label', {
      method: 'POST',
      body: [{ label: 'p' }],
      headers: { prefer },
    })
    assert.equal(made.status, 201, made.text)
    assert.equal(
      made.headers.get('preference-applied'),
      'resolution=merge-duplicates, missing=default, return=representation, count=exact, tx=rollback, handling=lenient, timezone=Europe/Paris',
    )
  })
  test('estimates', async () => {
    const few = await engine().ask('/tools', { headers: { prefer: 'count=estimated' } })
    assert.equal(few.headers.get('content-range'), '0-2/3')
    assert.equal((await engine().ask('/tools', { headers: { range: 'nonsense' } })).status, 200)
    const zone = await engine().ask('/tools', { headers: { prefer: 'handling=strict, timezone=Nowhere' } })
    assert.deepEqual([zone.status, codeOf(zone)], [400, 'PGRST122'])
  })
})

// https://docs.postgrest.org/en/v14/references/errors.html#http-status-codes
test('what Postgres refuses has the status that it is given', async () => {
  const statuses: Readonly<Record<string, number>> = {
    '08006': 503,
    '0L000': 403,
    '0P000': 403,
    '22000': 400,
    '23502': 400,
    '23503': 409,
    '23505': 409,
    '25000': 500,
    '25006': 405,
    '28000': 403,
    '38000': 500,
    '39000': 500,
    '3B000': 500,
    '40001': 500,
    '42883': 404,
    '42P01': 404,
    '42P17': 500,
    '53000': 503,
    '53400': 500,
    '54000': 500,
    '55000': 500,
    '57000': 500,
    '57P01': 503,
    '58000': 500,
    F0000: 500,
    HV000: 500,
    P0000: 500,
    P0001: 400,
    XX000: 500,
    PT404: 404,
    '42501': 401,
    '21000': 500,
  }
  for (const [code, status] of Object.entries(statuses)) {
    const answer = await engine().ask('/rpc/raise_it', { method: 'POST', body: { code } })
    assert.deepEqual([code, answer.status, codeOf(answer)], [code, status, code])
  }
  const safe = { code: '21000', message: 'UPDATE requires a WHERE clause' }
  assert.equal((await engine().ask('/rpc/raise_it', { method: 'POST', body: safe })).status, 400)
  assert.equal(
    (await engine().ask('/rpc/raise_it', { method: 'POST', body: { code: '42501' }, as: { role: 'authenticated' } }))
      .status,
    403,
  )
})
