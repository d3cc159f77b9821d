// What usage costs: two months of made-up usage against an arithmetic of its own, five minutes by five minutes, with a transfer in the middle.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { closePeriods } from '../../src/control/reconcilers/close-periods.ts'
import { watchSpending } from '../../src/control/reconcilers/watch-spending.ts'
import { setFailpoints } from '../../src/lib/failpoint.ts'
import { silentLogger } from '../../src/lib/logger.ts'
import { defaultPrices } from '../../src/model/prices.ts'
import { testPassword, testUser, TestPostgres } from '../../src/proxy/test-support/postgres.ts'
import { Store } from '../../src/store/database.ts'
import { Random } from '../history/random.ts'
import { eventually } from '../support/eventually.ts'
import { assertRefused, makeProject, type NeonApi } from '../support/neon.ts'
import { firstOrganizations } from '../support/organizations.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, packageRoot, request, startServer, type TestServer } from '../support/server.ts'

const minuteMs = 60_000
const stepMs = 5 * minuteMs
const dayMs = 86_400_000
const now = new Date()
const monthStart = (offset: number): number => Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + offset, 1)
const nameOf = (at: number): string => new Date(at).toISOString().slice(0, 7)

/** As Neon says them, for one of each unit. */
const rates: Readonly<Record<string, { price: number; unit: number }>> = {
  compute: { price: 0.222, unit: 3_600_000 },
  root_storage: { price: 0.35, unit: 1e9 * 744 * 3_600_000 },
  child_storage: { price: 0.35, unit: 1e9 * 744 * 3_600_000 },
  history: { price: 0.2, unit: 1e9 * 744 * 3_600_000 },
  snapshots: { price: 0.09, unit: 1e9 * 744 * 3_600_000 },
  transfer: { price: 0.1, unit: 1e9 },
  extra_branches: { price: 1.5, unit: 744 * 3_600_000 },
}

type Ownership = { projectId: string; orgId: string; from: number; to: number }
type Level = { projectId: string; branchId: string; kind: string; at: number; value: number }
type Hour = { projectId: string; orgId: string; at: number; computeMs: number; bytes: number }
type Usage = { ownerships: Ownership[]; levels: Level[]; hours: Hour[] }

/** `org project meter` → what was used, in the units that are measured. */
function countBySteps({ ownerships, levels, hours }: Usage, from: number, to: number): Map<string, number> {
  const sums = new Map<string, number>()
  const add = (orgId: string, projectId: string, meter: string, value: number): void => {
    const key = `${orgId} ${projectId} ${meter}`
    sums.set(key, (sums.get(key) ?? 0) + value)
  }
  for (const { orgId, projectId, at, computeMs, bytes } of hours) {
    if (at < from || at >= to) continue
    add(orgId, projectId, 'compute', computeMs)
    add(orgId, projectId, 'transfer', bytes)
  }
  const meters: Readonly<Record<string, string>> = { root: 'root_storage', child: 'child_storage' }
  for (const projectId of new Set(ownerships.map((each) => each.projectId))) {
    const changes = levels.filter((each) => each.projectId === projectId).toSorted((a, b) => a.at - b.at)
    const current = new Map<string, Level>()
    let next = 0
    for (let at = from; at < to; at += stepMs) {
      for (let change = changes[next]; change && change.at <= at; change = changes[++next])
        current.set(`${change.branchId} ${change.kind}`, change)
      const owner = ownerships.find((each) => each.projectId === projectId && each.from <= at && at < each.to)
      if (!owner) continue
      let branches = 0
      for (const { kind, value } of current.values()) {
        if (kind === 'exists') branches += value
        else if (kind !== 'logical') add(owner.orgId, projectId, meters[kind] ?? kind, value * stepMs)
      }
      if (branches > 25) add(owner.orgId, projectId, 'extra_branches', (branches - 25) * stepMs)
    }
  }
  return sums
}

function expectedLines(counted: ReadonlyMap<string, number>, orgId: string, projectId?: string): Map<string, number> {
  const lines = new Map<string, number>()
  let transferOfAll = 0
  let transfer = 0
  for (const [key, used] of counted) {
    const [org, project, meter = ''] = key.split(' ')
    const rate = rates[meter]
    assert.ok(rate, meter)
    if (org !== orgId) continue
    if (meter === 'transfer') transferOfAll += used
    if (projectId !== undefined && project !== projectId) continue
    if (meter === 'transfer') transfer += used
    else lines.set(meter, (lines.get(meter) ?? 0) + (used / rate.unit) * rate.price)
  }
  const paid = Math.max(0, transferOfAll - 100e9) / 1e9
  if (transferOfAll > 0) lines.set('transfer', paid * 0.1 * (transfer / transferOfAll))
  return lines
}

type Line = { meter: string; unit: string; quantity: number; included: number; price: string; amount: string }
type CostAnswer = {
  org_id: string
  currency: string
  is_final: boolean
  lines: Line[]
  total: string
  due: string
  credits: { used: string; remaining: string }
  projects: { project_id: string; total: string }[]
}

function assertClose(actual: string, expected: number, what: string): void {
  assert.ok(Math.abs(Number(actual) - expected) < 2e-6, `${what}: ${actual}, expected ${expected}`)
}

function assertLines(cost: CostAnswer, expected: ReadonlyMap<string, number>): void {
  let total = 0
  for (const { meter, amount } of cost.lines) {
    assertClose(amount, expected.get(meter) ?? 0, meter)
    total += expected.get(meter) ?? 0
  }
  assert.equal(cost.lines.length, Object.keys(rates).length)
  assertClose(cost.total, total, 'total')
}

describe('costs', () => {
  let postgres: TestPostgres
  let server: TestServer
  let api: NeonApi
  let store: Store
  let sponsored: string
  let paid: string
  let projectId: string
  let usage: Usage

  const sql = (text: string, values: unknown[] = []): Promise<unknown[]> => store.query(text, values)
  const costOf = async (path: string, period?: number): Promise<CostAnswer> => {
    const answer = await request(
      server,
      'GET',
      `${path}/cost${period === undefined ? '' : `?period=${nameOf(period)}`}`,
    )
    assert.equal(answer.status, 200, JSON.stringify(answer.body))
    return answer.body as unknown as CostAnswer
  }
  const billing = (): Parameters<typeof closePeriods>[0] => ({ store, prices: defaultPrices })
  const [older, last, current] = [monthStart(-2), monthStart(-1), monthStart(0)]

  before(async () => {
    postgres = await TestPostgres.start()
    const [user, password] = [testUser, encodeURIComponent(testPassword)]
    server = await startServer({
      env: {
        PGROVE_STORAGE: 'copy',
        PGROVE_WARM_POOL: '0,0',
        PGROVE_CONTROL_DATABASE_URL: `postgresql://${user}:${password}@${encodeURIComponent(postgres.socketDir)}/postgres`,
      },
    })
    api = apiClient(server)
    const connection = { host: postgres.socketDir, port: 5432, user, password: testPassword, database: 'postgres' }
    store = new Store({ connection, maxConnections: 4, prepares: true, logger: silentLogger })
    ;({ sponsored, paid } = await firstOrganizations(server))
    projectId = (await makeProject(server, { org_id: paid })).id
    usage = simulate(new Random(20_260_901))
    await storeUsage()
  })
  after(async () => {
    await using _ = server
    await store?.close()
    await assertQuiet(server)
    await postgres?.[Symbol.asyncDispose]()
  })

  /** The real project changes hands in the middle of the older month; one is there throughout, one comes and goes. */
  function simulate(random: Random): Usage {
    const handover = older + 14 * dayMs + 7 * 3_600_000 + 25 * minuteMs
    const ownerships: Ownership[] = [
      { projectId, orgId: sponsored, from: older + 4 * dayMs, to: handover },
      { projectId, orgId: paid, from: handover, to: current },
      { projectId: 'old-timer-1', orgId: sponsored, from: older - 40 * dayMs, to: current },
      { projectId: 'short-lived-1', orgId: paid, from: older + 9 * dayMs, to: last + 11 * dayMs + 30 * minuteMs },
    ]
    const levels: Level[] = []
    const hours: Hour[] = []
    const sometime = (from: number, to: number): number => from + random.below((to - from) / stepMs) * stepMs
    for (const project of new Set(ownerships.map((each) => each.projectId))) {
      const own = ownerships.filter((each) => each.projectId === project)
      const [begins, ends] = [Math.min(...own.map(({ from }) => from)), Math.max(...own.map(({ to }) => to))]
      for (let b = 0; b < 32; b++) {
        const branchId = `br-${project}-${b}`
        const [born, dead] = [sometime(begins, begins + 10 * dayMs), sometime(ends - 10 * dayMs, ends)]
        levels.push({ projectId: project, branchId, kind: 'exists', at: born, value: 1 })
        levels.push({ projectId: project, branchId, kind: 'exists', at: dead, value: 0 })
        for (const kind of b === 0 ? ['root', 'history', 'logical'] : ['child']) {
          for (let i = 0; i < 4; i++) {
            const value = random.below(3_000_000_000)
            levels.push({ projectId: project, branchId, kind, at: sometime(born, dead), value })
          }
        }
      }
      for (let i = 0; i < 6; i++)
        levels.push({
          projectId: project,
          branchId: '',
          kind: 'snapshots',
          at: sometime(begins, ends),
          value: random.below(2_000_000_000),
        })
      for (const { orgId, from, to } of own) {
        for (let at = Math.floor(from / 3_600_000) * 3_600_000; at < to; at += 3_600_000) {
          if (random.below(3) > 0) continue
          const computeMs = random.below(3_600_000) * (0.25 * (1 + random.below(8)))
          hours.push({ projectId: project, orgId, at, computeMs, bytes: random.below(900_000_000) })
        }
      }
    }
    // Two changes at one moment would leave open which came last.
    const places = new Map(levels.map((each) => [`${each.projectId} ${each.branchId} ${each.kind} ${each.at}`, each]))
    return { ownerships, levels: [...places.values()], hours }
  }

  async function storeUsage(): Promise<void> {
    const at = (ms: number): Date => new Date(ms)
    await sql(`update organizations set created_at = $1`, [at(older - 60 * dayMs)])
    for (const { projectId: project, orgId, from, to } of usage.ownerships)
      await sql(
        `insert into usage_owners (project_id, since, ended_at, org_id, project_created_at) values ($1, $2, $3, $4, $2)`,
        [project, at(from), at(to), orgId],
      )
    await sql(
      `insert into usage_levels (project_id, branch_id, kind, since, value)
       select * from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::bigint[])`,
      [
        usage.levels.map((each) => each.projectId),
        usage.levels.map((each) => each.branchId),
        usage.levels.map((each) => each.kind),
        usage.levels.map((each) => at(each.at)),
        usage.levels.map((each) => each.value),
      ],
    )
    await sql(
      `insert into usage_hours (project_id, org_id, hour, branch_id, endpoint_id, active_ms, compute_cu_ms, written_bytes, transfer_bytes)
       select p, o, h, 'br', 'ep', 0, c, 0, t from unnest($1::text[], $2::text[], $3::timestamptz[], $4::float8[], $5::bigint[]) as u (p, o, h, c, t)`,
      [
        usage.hours.map((each) => each.projectId),
        usage.hours.map((each) => each.orgId),
        usage.hours.map((each) => at(each.at)),
        usage.hours.map((each) => each.computeMs),
        usage.hours.map((each) => each.bytes),
      ],
    )
  }

  test('a month costs an organization what its projects used while it had them', async () => {
    for (const [from, to] of [
      [older, last],
      [last, current],
    ] as const) {
      const counted = countBySteps(usage, from, to)
      for (const orgId of [sponsored, paid]) {
        const cost = await costOf(`/organizations/${orgId}`, from)
        assertLines(cost, expectedLines(counted, orgId))
        assert.equal(cost.is_final, false)
        assert.equal(cost.currency, 'USD')
        const projects = new Set(
          [...counted.keys()].flatMap((key) => (key.startsWith(orgId) ? [key.split(' ')[1] ?? ''] : [])),
        )
        assert.deepEqual(new Set(cost.projects.map((each) => each.project_id)), projects)
        for (const { project_id: id, total } of cost.projects) {
          const sum = [...expectedLines(counted, orgId, id).values()].reduce((a, b) => a + b, 0)
          assertClose(total, sum, id)
        }
      }
      assertLines(await costOf(`/projects/${projectId}`, from), expectedLines(counted, paid, projectId))
    }
  })

  test('the current month is told up to now, and what is no month is refused', async () => {
    const cost = await costOf(`/projects/${projectId}`)
    assert.equal(cost.org_id, paid)
    assert.equal(cost.is_final, false)
    assert.deepEqual(
      cost.lines.map(({ meter, unit, price }) => [meter, unit, price]),
      [
        ['compute', 'CU-hour', '0.222'],
        ['root_storage', 'GB-month', '0.35'],
        ['child_storage', 'GB-month', '0.35'],
        ['history', 'GB-month', '0.20'],
        ['snapshots', 'GB-month', '0.09'],
        ['transfer', 'GB', '0.10'],
        ['extra_branches', 'branch-month', '1.50'],
      ],
    )
    await eventually('a compute that runs costs something', async () => {
      const { lines } = await costOf(`/projects/${projectId}`)
      return Number(lines.find(({ meter }) => meter === 'compute')?.amount) > 0
    })
    for (const [period, message] of [
      ['2026-13', /no month/],
      ['nonsense', /no month/],
      ['9999-01', /has not begun/],
      ['2020-01', /too long ago/],
    ] as const) {
      for (const path of [`/projects/${projectId}`, `/organizations/${paid}`]) {
        const answer = await request(server, 'GET', `${path}/cost?period=${period}`)
        assert.equal(answer.status, 400)
        assert.match(String(answer.body['message']), message)
      }
    }
  })

  test('credits are given by operators, and go first', async () => {
    const path = `/operator/organizations/${paid}/credits`
    const give = (amount: string, note = 'a gift') => request(server, 'POST', path, { amount, note })
    const before = await costOf(`/organizations/${paid}`, older)
    const given = (Number(before.total) + 5).toFixed(2)
    assert.equal((await give(given)).status, 200)
    const after = await costOf(`/organizations/${paid}`, older)
    assert.equal(after.credits.used, before.total)
    assert.equal(after.due, '0.00')
    assertClose(after.credits.remaining, Number(given) - Number(before.total), 'remaining')
    const next = await costOf(`/organizations/${paid}`, last)
    assert.equal(next.credits.used, after.credits.remaining, 'what is left goes on to the next month')
    assertClose(next.due, Number(next.total) - Number(next.credits.used), 'due')
    assert.equal(next.credits.remaining, '0.00')
    for (const amount of ['0', 'much', '1.123456789', '']) assert.equal((await give(amount)).status, 400, amount)
    assert.equal((await give('-0.01')).status, 422, 'there is nothing left to take')
    assert.equal((await request(server, 'GET', '/operator/organizations/org-none-1/credits')).status, 404)
    const { body } = await request(server, 'GET', path)
    assert.deepEqual(
      (body['grants'] as { amount: string; note: string }[]).map(({ amount, note }) => [amount, note]),
      [[given, 'a gift']],
    )
    const pgrove = async (...args: string[]): Promise<string> => {
      const env = { PATH: process.env['PATH'] ?? '', PGROVE_HOME: server.home }
      return (await promisify(execFile)(join(packageRoot, 'bin', 'pgrove'), ['org', ...args], { env })).stdout
    }
    const cli = await pgrove('credits', 'sponsored', '2.50', 'from the machine')
    assert.match(cli, /0\.00 USD left/)
    assert.match(cli, /2\.50 USD {2}from the machine/)
    assert.match(await pgrove('rate-limit', 'sponsored', '9/min'), /9\/min,40\/s/)
    assert.match(await pgrove('rate-limit', 'sponsored', 'default'), /off {2}\(as everybody/)
  })

  test('a month that is over is closed once, whatever happens in between, and stays as it was', async () => {
    const before = await Promise.all([older, last].map((period) => costOf(`/organizations/${paid}`, period)))
    const project = await costOf(`/projects/${projectId}`, last)
    const later = new Date(current + 2 * dayMs)
    setFailpoints('billing.closing=error', [])
    await assert.rejects(closePeriods(billing(), later))
    setFailpoints('', [])
    assert.deepEqual(await sql('select from statements'), [])
    const closed = await Promise.all([1, 2, 3].map(() => closePeriods(billing(), later)))
    const count = (await sql('select from statements')).length
    assert.equal(
      closed.reduce((sum, each) => sum + each.closed, 0),
      count,
    )
    assert.deepEqual(await closePeriods(billing(), later), { closed: 0 })
    await sql('update usage_hours set transfer_bytes = transfer_bytes * 10, compute_cu_ms = compute_cu_ms + 1000000')
    const afterwards = await Promise.all([older, last].map((period) => costOf(`/organizations/${paid}`, period)))
    assert.deepEqual(
      afterwards,
      before.map((each) => ({ ...each, is_final: true })),
    )
    assert.deepEqual(await costOf(`/projects/${projectId}`, last), { ...project, is_final: true })
    const unknown = await makeProject(server, { org_id: paid })
    assert.equal((await costOf(`/projects/${unknown.id}`, last)).total, '0.00')
  })

  test('a spending limit speaks at 80 and at 100 percent, once, and stops nothing', async () => {
    assert.deepEqual((await api.getOrganizationSpendingLimit(sponsored)).data, { spending_limit_cents: null })
    for (const cents of [0, -1, 1.5])
      await assertRefused(api.setOrganizationSpendingLimit(sponsored, { spending_limit_cents: cents }), 400, /./)
    const { data } = await api.setOrganizationSpendingLimit(sponsored, { spending_limit_cents: 2_000 })
    assert.deepEqual(data, { spending_limit_cents: 2_000 })
    assert.deepEqual((await api.getOrganizationSpendingLimit(sponsored)).data, data)
    await sql(
      `insert into usage_owners (project_id, since, ended_at, org_id, project_created_at) values ('busy-1', $1, null, $2, $1)`,
      [new Date(current), sponsored],
    )
    const use = async (cuHours: number): Promise<void> => {
      await sql(
        `insert into usage_hours (project_id, org_id, hour, branch_id, endpoint_id, active_ms, compute_cu_ms, written_bytes, transfer_bytes)
         values ('busy-1', $1, $2, 'br', 'ep', 0, $3, 0, 0)
         on conflict (project_id, hour, branch_id, endpoint_id, org_id) do update set compute_cu_ms = excluded.compute_cu_ms`,
        [sponsored, new Date(current), cuHours * 3_600_000],
      )
    }
    const events = async (): Promise<string[]> => {
      const { body } = await request(server, 'GET', `/organizations/${sponsored}/events`)
      return (body['events'] as { type: string }[])
        .map((each) => each.type)
        .filter((kind) => kind.startsWith('spending.'))
        .toReversed()
    }
    await use(50)
    assert.deepEqual(await watchSpending(billing()), { alerted: 0 })
    await use(75)
    const many = await Promise.all([1, 2, 3].map(() => watchSpending(billing())))
    assert.ok(many.some(({ alerted }) => alerted === 1))
    assert.deepEqual(await events(), ['spending.warning'])
    await use(500)
    await watchSpending(billing())
    await watchSpending(billing())
    assert.deepEqual(await events(), ['spending.warning', 'spending.exceeded'])
    await api.setOrganizationSpendingLimit(sponsored, { spending_limit_cents: 10_000 })
    await watchSpending(billing())
    assert.deepEqual(await events(), ['spending.warning', 'spending.exceeded', 'spending.exceeded'])
    assert.equal((await api.deleteOrganizationSpendingLimit(sponsored)).status, 200)
    assert.equal((await api.deleteOrganizationSpendingLimit(sponsored)).status, 200)
    assert.deepEqual((await api.getOrganizationSpendingLimit(sponsored)).data, { spending_limit_cents: null })
  })
})
