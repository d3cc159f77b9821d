// Whatever is asked of whatever schema: the same as by another way (`support/generated-reads.ts`, `support/generated-writes.ts`).

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import type { DataApi } from '../../src/data-api/engine.ts'
import type { HttpAnswer } from '../../src/data-api/response/answer.ts'
import { TestEngine } from './support/engine.ts'
import {
  embeddings,
  statementOfEmbedding,
  statementOfSummary,
  summaries,
  targetOfEmbedding,
  targetOfSummary,
} from './support/generated-aggregates.ts'
import { calls, functionsSql, requestOfCall, statementOfCall } from './support/generated-calls.ts'
import { expectedOf, reads, targetOf, type Node } from './support/generated-reads.ts'
import { contentsOf, requestOf, statementOf, writes, type Write } from './support/generated-writes.ts'
import { ident, schemas, schemaSql, type Schema } from './support/generated-schema.ts'

let engine: TestEngine
before(async () => {
  engine = await TestEngine.start()
})
after(() => engine[Symbol.asyncDispose]())

const header = ({ headers }: HttpAnswer, name: string): string | undefined =>
  headers.find(([each]) => each === name)?.[1]

async function ask(
  api: DataApi,
  method: string,
  target: string,
  headers: Record<string, string> = {},
  body = '',
): Promise<HttpAnswer & { text: string }> {
  const answer = await api.handle({ method, target, headers, body: Buffer.from(body) })
  const text = String(answer.body)
  assert.ok(answer.status < 500, `${method} ${target}: ${answer.status} ${text}`)
  if (answer.status >= 300 && !(method === 'HEAD')) {
    assert.deepEqual(Object.keys(JSON.parse(text) as object), ['code', 'details', 'hint', 'message'], text)
  }
  return { ...answer, text }
}

/** Compared by Postgres: no number loses a digit on the way. */
async function assertSame(actual: string, expected: string, what: string): Promise<void> {
  const { rows } = await engine.admin.query<{ same: boolean }>('select $1::jsonb = $2::jsonb as same', [
    actual,
    expected,
  ])
  if (rows[0]?.same !== true) assert.equal(actual, expected, what)
}

/** Of a schema that is there for as long as it takes. */
async function within<T>(schema: Schema, work: (api: DataApi) => Promise<T>, sql = ''): Promise<T> {
  await engine.admin.query(schemaSql(schema) + sql)
  try {
    return await work(engine.another({ dbSchemas: [schema.name], dbAggregatesEnabled: true, dbPlanEnabled: true }))
  } finally {
    await engine.admin.query(`drop schema ${ident(schema.name)} cascade`)
  }
}

const some = { minLength: 15, maxLength: 15 }
const readsOf = (schema: Schema): fc.Arbitrary<Node> =>
  fc.constantFrom(...schema.tables).chain((table) => reads(schema, table))

test('reads', async () => {
  await fc.assert(
    fc.asyncProperty(
      schemas.chain((schema) => fc.tuple(fc.constant(schema), fc.array(readsOf(schema), some))),
      async ([schema, nodes]) => {
        await within(schema, async (api) => {
          for (const node of nodes) {
            const target = targetOf(node)
            const what = `${decodeURIComponent(target)}\n${schemaSql(schema)}`
            const expected = await expectedOf(engine.admin, schema, node)
            const answer = await ask(api, 'GET', target, { prefer: 'count=exact' })
            // A table and a column by one name, and both lead somewhere.
            if (answer.status === 300) continue
            const { offset = 0 } = node
            if (offset > expected.total) {
              assert.equal(answer.status, 416, `${answer.text}\n${what}`)
              continue
            }
            assert.equal(answer.status, expected.rows < expected.total ? 206 : 200, `${answer.text}\n${what}`)
            await assertSame(answer.text, expected.body, what)
            const range = expected.rows === 0 ? '*' : `${offset}-${offset + expected.rows - 1}`
            assert.equal(header(answer, 'Content-Range'), `${range}/${expected.total}`, what)
          }
        })
      },
    ),
    { numRuns: 12, endOnFailure: true },
  )
})

test('aggregates', async () => {
  const all = (schema: Schema): fc.Arbitrary<{ target: string; statement: string; isOrdered: boolean }> => {
    const ofTable = schema.tables.flatMap((table) => [
      summaries(schema, table).map((each) => ({
        target: targetOfSummary(each),
        statement: statementOfSummary(schema, each),
        isOrdered: false,
      })),
      ...embeddings(schema, table).map((found) =>
        found.map((each) => ({
          target: targetOfEmbedding(each),
          statement: statementOfEmbedding(schema, each),
          isOrdered: true,
        })),
      ),
    ])
    return fc.oneof(...ofTable)
  }
  await fc.assert(
    fc.asyncProperty(
      schemas.chain((schema) => fc.tuple(fc.constant(schema), fc.array(all(schema), some))),
      async ([schema, requests]) => {
        await within(schema, async (api) => {
          for (const { target, statement, isOrdered } of requests) {
            const what = `${decodeURIComponent(target)}\n${statement}\n${schemaSql(schema)}`
            const { rows } = await engine.admin.query<{ rows: string }>(statement)
            const answer = await ask(api, 'GET', target)
            if (answer.status === 300) continue
            assert.equal(answer.status, 200, `${answer.text}\n${what}`)
            await assertSame(isOrdered ? answer.text : await inOrder(answer.text), rows[0]?.rows ?? '', what)
          }
        })
      },
    ),
    { numRuns: 12, endOnFailure: true },
  )
})

/** Of what the elements say. */
async function inOrder(array: string): Promise<string> {
  const text = `select coalesce(jsonb_agg(e order by e), '[]')::text as rows from jsonb_array_elements($1::jsonb) e`
  return (await engine.admin.query<{ rows: string }>(text, [array])).rows[0]?.rows ?? ''
}

test('calls', async () => {
  const callsOf = (schema: Schema) =>
    fc.constantFrom(...schema.tables).chain((table) => calls(table).map((call) => ({ table, call })))
  await fc.assert(
    fc.asyncProperty(
      schemas.chain((schema) => fc.tuple(fc.constant(schema), fc.array(callsOf(schema), some))),
      async ([schema, all]) => {
        await within(
          schema,
          async (api) => {
            for (const { table, call } of all) {
              const { target, headers, body } = requestOfCall(call)
              const statement = statementOfCall(schema, table, call)
              const what = `${call.method} ${decodeURIComponent(target)} ${body}\n${statement}`
              const { rows } = await engine.admin.query<{ rows: string }>(statement)
              const answer = await ask(api, call.method, target, headers, body)
              assert.equal(answer.status, 200, `${answer.text}\n${what}`)
              await assertSame(answer.text, rows[0]?.rows ?? '', what)
            }
          },
          functionsSql(schema),
        )
      },
    ),
    { numRuns: 12, endOnFailure: true },
  )
})

/** What a statement would do, without doing it: rows and contents, or why not. */
async function tried(schema: Schema, write: Write): Promise<{ rows: string; contents: string } | { code: string }> {
  const { admin } = engine
  await admin.query('begin')
  try {
    const { rows } = await admin.query<{ rows: string }>(statementOf(schema, write))
    return { rows: rows[0]?.rows ?? '', contents: await contents(schema) }
  } catch (error) {
    return { code: String((error as { code?: unknown }).code) }
  } finally {
    await admin.query('rollback')
  }
}

const contents = async (schema: Schema): Promise<string> =>
  (await engine.admin.query<{ contents: string }>(contentsOf(schema))).rows[0]?.contents ?? ''

test('writes', async () => {
  const writesOf = (schema: Schema): fc.Arbitrary<Write> => fc.constantFrom(...schema.tables).chain(writes)
  await fc.assert(
    fc.asyncProperty(
      schemas.chain((schema) => fc.tuple(fc.constant(schema), fc.array(writesOf(schema), some))),
      async ([schema, all]) => {
        await within(schema, async (api) => {
          for (const write of all) {
            const { method, target, headers, body } = requestOf(write)
            const what = `${method} ${decodeURIComponent(target)} ${body}\n${statementOf(schema, write)}\n${schemaSql(schema)}`
            const before_ = await contents(schema)
            const expected = await tried(schema, write)
            const answer = await ask(api, method, target, headers, body)
            if ('code' in expected) {
              assert.equal(
                (JSON.parse(answer.text) as { code?: unknown }).code,
                expected.code,
                `${answer.text}\n${what}`,
              )
              assert.equal(await contents(schema), before_, what)
              continue
            }
            assert.ok(answer.status < 300, `${answer.text}\n${what}`)
            await assertSame(answer.text, expected.rows, what)
            assert.equal(await contents(schema), expected.contents, what)
          }
        })
      },
    ),
    { numRuns: 12, endOnFailure: true },
  )
})

const pieces = ['', '(', ')', ',', '.', '"', '\\', '->', '->>', '::', '!', '!inner', '...', '*', 'not.', 'and', '{', '}', '%00', '%', '&', '=', '%ff', '-1', ':', 'count()', '.sum()', 'é'] // prettier-ignore
const preferences = ['count=planned', 'count=estimated', 'return=representation', 'return=headers-only', 'missing=default', 'resolution=merge-duplicates', 'handling=strict', 'max-affected=1', 'timezone=Asia/Tokyo', 'tx=rollback'] // prettier-ignore
const accepted = ['*/*', 'text/csv', 'application/vnd.pgrst.object+json', 'application/vnd.pgrst.array+json;nulls=stripped', 'application/vnd.pgrst.plan+json', 'text/html'] // prettier-ignore

test('what is broken somewhere is understood or refused', async () => {
  const broken = (
    schema: Schema,
  ): fc.Arbitrary<{ target: string; method: string; headers: Record<string, string>; body: string }> =>
    fc
      .record({
        node: readsOf(schema),
        write: fc.constantFrom(...schema.tables).chain(writes),
        method: fc.constantFrom('GET', 'GET', 'HEAD', 'POST', 'PATCH', 'PUT', 'DELETE', 'OPTIONS'),
        cut: fc.double({ min: 0, max: 1, noNaN: true }),
        length: fc.nat({ max: 6 }),
        piece: fc.constantFrom(...pieces),
        prefer: fc.subarray(preferences),
        accept: fc.constantFrom(...accepted),
        range: fc.constantFrom('0-1', '1-', '-', '5-2', ''),
        breaksBody: fc.boolean(),
      })
      .map(({ node, write, method, cut, length, piece, prefer, accept, range, breaksBody }) => {
        const broke = (text: string): string => {
          const at = Math.floor(cut * text.length)
          return text.slice(0, at) + piece + text.slice(at + length)
        }
        const { headers, body } = requestOf(write)
        return {
          target: broke(targetOf(node)),
          method,
          headers: { ...headers, prefer: prefer.join(', '), accept, range },
          body: breaksBody ? broke(body) : body,
        }
      })
  await fc.assert(
    fc.asyncProperty(
      schemas.chain((schema) =>
        fc.tuple(fc.constant(schema), fc.array(broken(schema), { minLength: 40, maxLength: 40 })),
      ),
      async ([schema, all]) => {
        await within(schema, async (api) => {
          for (const { method, target, headers, body } of all) await ask(api, method, target, headers, body)
        })
      },
    ),
    { numRuns: 8, endOnFailure: true },
  )
})
