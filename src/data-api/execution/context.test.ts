import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planRequest } from '../plan/plan-request.ts'
import { defaultConfig } from '../config.ts'
import { parseRequest } from '../request/parse-request.ts'
import { keyOf, type SchemaCache } from '../schema-cache/schema-cache.ts'
import { beginStatement } from './context.ts'

const name = { schema: 'public', name: 'clubs' }
const cache: SchemaCache = {
  relations: new Map([
    [
      keyOf(name),
      { ...name, isInsertable: true, isUpdatable: true, isDeletable: true, primaryKey: [], columns: new Map() },
    ],
  ]),
  relationships: new Map(),
  functions: new Map(),
  mediaHandlers: [],
  representations: [],
  timezones: new Set(),
  roleSettings: new Map([['careful', [['default_transaction_isolation', 'serializable']]]]),
  hasPostGis: false,
  loadedAt: 0,
}

function begun(method: string, role: string): string {
  const request = parseRequest({ method, target: '/clubs', headers: {}, body: Buffer.from('{}') }, defaultConfig)
  const { action } = request
  if (action.kind !== 'read' && action.kind !== 'mutate') return assert.fail()
  return beginStatement(planRequest(request, action, cache, defaultConfig), { role, claims: '{}' }, cache, method)
}

test('a transaction begins whatever kind it is to be, and what is refused of that ends it', () => {
  assert.equal(begun('GET', 'anyone'), 'BEGIN; SET TRANSACTION ISOLATION LEVEL READ COMMITTED READ ONLY')
  assert.equal(begun('POST', 'anyone'), 'BEGIN; SET TRANSACTION ISOLATION LEVEL READ COMMITTED READ WRITE')
  assert.equal(begun('GET', 'careful'), 'BEGIN; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY')
})
