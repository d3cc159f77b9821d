// Domains that are written out and read in by casts of their own.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, beforeEach, test } from 'node:test'
import { TestEngine } from './support/engine.ts'

let engine: TestEngine
before(async () => {
  engine = await TestEngine.start({}, readFileSync(new URL('./fixtures/media.sql', import.meta.url), 'utf8'))
})
after(() => engine[Symbol.asyncDispose]())
beforeEach(() => engine.admin.query('delete from rooms where id >= 10'))

const reads: readonly (readonly [path: string, expected: unknown])[] = [
  ['/rooms?id=eq.1', [{ id: 1, paint: '#0000ff', club_id: 1 }]],
  ['/rooms?select=paint&id=eq.1', [{ paint: '#0000ff' }]],
  ['/rooms?select=c:paint&id=eq.1', [{ c: '#0000ff' }]],
  ['/rooms?select=paint::integer&id=eq.1', [{ paint: 255 }]],
  ['/rooms?select=id&paint=eq.%2300ff00', [{ id: 2 }]],
  ['/rooms?select=id&paint=neq.00ff00', [{ id: 1 }]],
  ['/rooms?select=id&paint=in.(0000ff,00ff00)&order=id', [{ id: 1 }, { id: 2 }]],
  ['/rooms?select=id&paint=eq(any).{0000ff}', [{ id: 1 }]],
  ['/rooms?select=id&or=(paint.eq.0000ff,paint.is.null)&order=paint.desc.nullslast', [{ id: 1 }, { id: 3 }]],
  ['/clubs?select=name,rooms(paint)&id=eq.1&rooms.paint=eq.00ff00', [{ name: 'Alpha', rooms: [{ paint: '#00ff00' }] }]],
  ['/clubs?select=rooms(*)&id=eq.2', [{ rooms: [{ id: 3, paint: null, club_id: 2 }] }]],
  ['/clubs?select=name,...rooms(paint)&id=eq.1&rooms.order=id', [{ name: 'Alpha', paint: ['#0000ff', '#00ff00'] }]],
  ['/rpc/all_rooms?id=eq.1', [{ id: 1, paint: '#0000ff', club_id: 1 }]],
]
for (const [path, expected] of reads) {
  test(path, async () => {
    const { status, json } = await engine.ask(path)
    assert.deepEqual([status, json], [200, expected])
  })
}

test('in bodies, and in what comes back of them', async () => {
  const headers = { prefer: 'return=representation' }
  const row = { id: 10, paint: '#00000a', club_id: null }
  assert.deepEqual((await engine.ask('/rooms', { method: 'POST', body: row, headers })).json, [row])
  const changed = { method: 'PATCH', body: { paint: '#00000b' }, headers }
  assert.deepEqual((await engine.ask('/rooms?paint=eq.00000a', changed)).json, [{ ...row, paint: '#00000b' }])
  const put = { method: 'PUT', body: { ...row, paint: '#00000c' }, headers }
  assert.deepEqual((await engine.ask('/rooms?id=eq.10&select=paint', put)).json, [{ paint: '#00000c' }])
  const gone = await engine.ask('/rooms?paint=in.(00000c)', { method: 'DELETE', headers })
  assert.deepEqual(gone.json, [{ ...row, paint: '#00000c' }])
})
