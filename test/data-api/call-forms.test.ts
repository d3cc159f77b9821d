// Forms of calls and of their bodies, a line of PostgREST's documentation each, as far as other files do not try it already.
//
// https://docs.postgrest.org/en/v14/references/api.html

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Answer } from './support/engine.ts'
import { codeOf, labels, reads, refuses, useWorkshop } from './support/workshop.ts'

const engine = useWorkshop()

describe('calls', () => {
  const post = (path: string, body: unknown, type?: string): Promise<Answer> =>
    engine().ask(path, { method: 'POST', body, headers: type === undefined ? {} : { 'content-type': type } })
  reads(engine, [
    ['a literal of an array', '/rpc/sum_of?numbers={1,2,3}', 6],
    ['a composite', '/rpc/street_of?a=(Main,7)', 'Main'],
    ['nothing', '/rpc/nobody', null],
    ['a table', '/rpc/rows_of?n=2&select=t&order=i.desc', [{ t: 'r2' }, { t: 'r1' }]],
    [
      'conditions beside arguments',
      '/rpc/rows_of?n=5&i=gt.3',
      [
        { i: 4, t: 'r4' },
        { i: 5, t: 'r5' },
      ],
    ],
    [
      'a row',
      '/rpc/first_shop?select=name,tools(label)&tools.order=id',
      { name: 'North', tools: labels('saw', 'axe') },
    ],
    ['an argument whose name would be no path', '/rpc/odd_name?%3Aodd%21=it', 'it'],
    ['settings of its own', '/rpc/patience', '7s'],
    [
      'what it may know',
      '/rpc/settings',
      {
        method: 'GET',
        path: '/rpc/settings',
        agent: 'me',
        cookie: 'sweet',
        noCookie: null,
        app: 'eu',
        timezone: 'America/Lima',
        'path of names': '"public"',
      },
      { 'x-agent': 'me', cookie: 'a=1; flavor=sweet', prefer: 'timezone=America/Lima' },
    ],
  ])
  test('bodies as they are', async () => {
    assert.deepEqual((await post('/rpc/raw_json', { a: [1, { b: 2 }] })).json, { a: [1, { b: 2 }] })
    assert.equal((await post('/rpc/raw_text', 'hello', 'text/plain')).json, 'got hello')
    assert.equal((await post('/rpc/raw_bytes', 'abc', 'application/octet-stream')).json, 3)
    assert.equal((await post('/rpc/street_of', { a: { street: 'X', number: 1 } })).json, 'X')
    assert.equal((await post('/rpc/sum_of', { numbers: [4, 5] })).json, 9)
    assert.deepEqual((await post('/rpc/rows_of?i=eq.2&select=t', { n: 3 })).json, [{ t: 'r2' }])
    assert.equal((await post('/rpc/sum_of?columns=numbers', { numbers: [1], other: 2 })).json, 1)
  })
  refuses(engine, [
    [
      'a condition without an operator',
      '/rpc/rows_of?n=2&i.x=5',
      400,
      { code: 'PGRST100', message: '"failed to parse filter (5)" (line 1, column 1)' },
    ],
    [
      'which of several',
      '/rpc/over?a=1',
      300,
      {
        code: 'PGRST203',
        message:
          'Could not choose the best candidate function between: public.over(a => integer), public.over(a => text)',
      },
    ],
    [
      'a name that is like another',
      '/rpc/patiance',
      404,
      { code: 'PGRST202', hint: 'Perhaps you meant to call the function public.patience' },
    ],
    [
      'other arguments',
      '/rpc/rows_of?m=1',
      404,
      {
        code: 'PGRST202',
        message: 'Could not find the function public.rows_of(m) in the schema cache',
        hint: 'Perhaps you meant to call the function public.rows_of(n)',
      },
    ],
    ['by another method', '/rpc/over', 405, { code: 'PGRST101' }, { method: 'DELETE' }],
    [
      'affected by a call of one row',
      '/rpc/first_shop',
      400,
      { code: 'PGRST128' },
      { method: 'POST', body: {}, headers: { prefer: 'handling=strict,max-affected=1' } },
    ],
  ])
  test('as many as are allowed are affected', async () => {
    const headers = { prefer: 'handling=strict,max-affected=1' }
    assert.equal((await engine().ask('/rpc/delete_them', { method: 'POST', body: {}, headers })).status, 200)
    const many = await engine().ask('/rpc/rows_of', { method: 'POST', body: { n: 2 }, headers })
    assert.deepEqual([many.status, codeOf(many)], [400, 'PGRST124'])
  })
})
