// What two transactions see of each other is Postgres' own business: every anomaly that a level allows or forbids shows the same through the
// proxy and from the pool, however their statements alternate.
//
// postgres: doc/src/sgml/mvcc.sgml. The names of the anomalies are those of "A Critique of ANSI SQL Isolation Levels".

import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import { makeProject, type TestProject } from '../support/neon.ts'
import { connect, query, type Session } from '../support/postgres.ts'
import { startServer, type TestServer } from '../support/server.ts'

type Level = 'read committed' | 'repeatable read' | 'serializable'
const levels: readonly Level[] = ['read committed', 'repeatable read', 'serializable']

let server: TestServer
let project: TestProject

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
  project = await makeProject(server)
  await query(project.uri, 'create table account (id int primary key, amount int not null)')
})
after(() => server?.[Symbol.asyncDispose]())

const uriOf = {
  direct: () => project.uri,
  pooled: () => project.uri.replaceAll(project.endpointId, `${project.endpointId}-pooler`),
}

for (const way of ['direct', 'pooled'] as const) {
  describe(way, () => {
    beforeEach(() => query(project.uri, 'truncate account; insert into account values (1, 10), (2, 20)'))

    for (const level of levels) {
      describe(level, () => {
        const isOneSnapshot = level !== 'read committed'

        test('nobody reads what was not committed', () =>
          inTwo(way, level, async (one, two) => {
            await one.query('update account set amount = 99 where id = 1')
            assert.equal(await amountOf(two, 1), 10)
            await one.query('rollback')
            assert.equal(await amountOf(two, 1), 10)
            await two.query('commit')
          }))

        test(`a row that is read again is ${isOneSnapshot ? 'the same' : 'what was committed since'}`, () =>
          inTwo(way, level, async (one, two) => {
            assert.equal(await amountOf(one, 1), 10)
            await two.query('update account set amount = 11 where id = 1')
            await two.query('commit')
            assert.equal(await amountOf(one, 1), isOneSnapshot ? 10 : 11)
            await one.query('commit')
            assert.equal(await amountOf(one, 1), 11)
          }))

        test(`a predicate that is asked again finds ${isOneSnapshot ? 'the same rows' : 'new ones too'}`, () =>
          inTwo(way, level, async (one, two) => {
            const count = async (): Promise<number> =>
              (await one.query<{ n: number }>('select count(*)::int as n from account where amount >= 10'))[0]?.n ?? -1
            assert.equal(await count(), 2)
            await two.query('insert into account values (3, 30)')
            await two.query('commit')
            assert.equal(await count(), isOneSnapshot ? 2 : 3)
            await one.query('commit')
          }))

        test(`of two that change what they have read the later ${isOneSnapshot ? 'is refused' : 'overwrites'}`, () =>
          inTwo(way, level, async (one, two) => {
            const [read, again] = [await amountOf(one, 1), await amountOf(two, 1)]
            await one.query('update account set amount = $1 where id = 1', [read + 1])
            const later = two.query('update account set amount = $1 where id = 1', [again + 5])
            const outcome = later.then(
              () => undefined,
              (error: { code?: string }) => error.code,
            )
            await whenBlocked()
            await one.query('commit')
            assert.equal(await outcome, isOneSnapshot ? '40001' : undefined)
            await two.query(isOneSnapshot ? 'rollback' : 'commit')
            assert.equal(await amountOf(one, 1), isOneSnapshot ? 11 : 15)
          }))

        test(`write skew ${level === 'serializable' ? 'is refused' : 'is possible'}`, () =>
          inTwo(way, level, async (one, two) => {
            const sum = `select sum(amount)::int as sum from account`
            assert.deepEqual(await one.query(sum), [{ sum: 30 }])
            assert.deepEqual(await two.query(sum), [{ sum: 30 }])
            await one.query('update account set amount = amount - 30 where id = 1')
            await two.query('update account set amount = amount - 30 where id = 2')
            await one.query('commit')
            const outcome = two.query('commit').then(
              () => undefined,
              (error: { code?: string }) => error.code,
            )
            assert.equal(await outcome, level === 'serializable' ? '40001' : undefined)
          }))

        test('a deadlock ends for one of them, and the other goes on', () =>
          inTwo(way, level, async (one, two) => {
            await one.query('update account set amount = amount + 1 where id = 1')
            await two.query('update account set amount = amount + 1 where id = 2')
            const crossing = [
              one.query('update account set amount = amount + 1 where id = 2'),
              two.query('update account set amount = amount + 1 where id = 1'),
            ]
            const first = await Promise.race(
              crossing.map((each, i) =>
                each.then(
                  () => 1 - i,
                  () => i,
                ),
              ),
            )
            const [victim, survivor] = first === 0 ? [one, two] : [two, one]
            await victim.query('rollback')
            const outcomes = await Promise.allSettled(crossing)
            const refused = outcomes.flatMap((each) =>
              each.status === 'rejected' ? [(each.reason as { code: string }).code] : [],
            )
            assert.deepEqual(refused, ['40P01'])
            await survivor.query('commit')
          }))
      })
    }

    test('a row that is locked is waited for, or not, as was asked', () =>
      inTwo(way, 'read committed', async (one, two) => {
        await one.query('select * from account where id = 1 for update')
        assert.deepEqual(await two.query('select id from account order by id for update skip locked'), [{ id: 2 }])
        await assert.rejects(two.query('select * from account where id = 1 for update nowait'), { code: '55P03' })
        await two.query('rollback')
        await one.query('rollback')
      }))

    test('a read-only transaction writes nothing, and the next one may again', async () => {
      await using session = await connect(uriOf[way]())
      await session.query('begin read only')
      await assert.rejects(session.query('delete from account'), { code: '25006' })
      await session.query('rollback')
      await session.query('update account set amount = amount')
    })
  })
}

async function inTwo(
  way: 'direct' | 'pooled',
  level: Level,
  act: (one: Session, two: Session) => Promise<void>,
): Promise<void> {
  await using one = await connect(uriOf[way]())
  await using two = await connect(uriOf[way]())
  for (const session of [one, two]) await session.query(`begin isolation level ${level}`)
  await act(one, two)
}

async function amountOf(session: Session, id: number): Promise<number> {
  const [row] = await session.query<{ amount: number }>('select amount from account where id = $1', [id])
  return row?.amount ?? -1
}

const whenBlocked = (): Promise<true> =>
  eventually('the later one waits', async () => {
    const waiting = `select 1 from pg_stat_activity where wait_event_type = 'Lock'`
    return (await query(project.uri, waiting)).length > 0
  })
