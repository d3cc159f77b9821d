// A month and a half of simulated use, told by the API and calculated anew from the events alone; and what the history routes refuse.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type {
  GetConsumptionHistoryPerBranchV2Params,
  GetConsumptionHistoryPerProjectParams,
  GetConsumptionHistoryPerProjectV2Params,
} from '@neondatabase/api-client'
import type pg from 'pg'
import { Ledger } from '../../src/control/metering/ledger.ts'
import type { BranchId, EndpointId, ProjectId, TimelineId } from '../../src/model/ids.ts'
import { account } from '../../src/store/usage.ts'
import { Random } from '../history/random.ts'
import { withControlDatabase } from '../support/faults.ts'
import { apiClient, request, startServer, type TestServer } from '../support/server.ts'

const second = 1000
const hour = 3_600_000
const day = 24 * hour
const seed = Number(process.env['PGROVE_USAGE_SEED'] ?? 20_261_126)

type Served = { branch: string; from: number; to: number; cu: number }
type Sent = { branch: string; at: number; written: number; transfer: number }
type Level = { branch: string; kind: string; at: number; value: number }
type Owner = { org: string; from: number; to: number }
type Simulated = {
  id: string
  createdAt: number
  owners: Owner[]
  branches: { id: string; from: number; to: number }[]
  served: Served[]
  sent: Sent[]
  levels: Level[]
}

/** Both included. */
const between = (random: Random, low: number, high: number): number => low + random.below(high - low + 1)

/** Ends well before now: what the server itself does meanwhile is another's. */
function simulate(random: Random, now: number, orgs: readonly [string, string], number: number): Simulated {
  const createdAt = now - between(random, 20, 45) * day - between(random, 0, day)
  const endedAt = number % 3 === 2 ? now - between(random, 2, 10) * day : now - hour
  const movedAt = number % 2 === 0 ? createdAt + between(random, 1, 9) * day + between(random, 0, day) : endedAt
  const project: Simulated = {
    id: `sim-project-${number}`,
    createdAt,
    owners: [{ org: orgs[0], from: createdAt, to: movedAt }],
    branches: [],
    served: [],
    sent: [],
    levels: [],
  }
  if (movedAt < endedAt) project.owners.push({ org: orgs[1], from: movedAt, to: endedAt })
  const last = project.owners.at(-1)
  if (last && endedAt > now - 2 * hour) last.to = Number.POSITIVE_INFINITY
  for (let index = 0; index < (number === 0 ? 12 : 3); index++) {
    const from = index === 0 ? createdAt : createdAt + between(random, 0, 5 * day)
    const to = index === 2 ? from + between(random, day, 6 * day) : endedAt
    const branch = `br-sim-${number}-${String(index).padStart(2, '0')}`
    project.branches.push({ id: branch, from, to })
    project.levels.push({ branch, kind: 'exists', at: from, value: 1 })
    for (let at = from; at < to; at += between(random, 4 * hour, 4 * day)) {
      const size = between(random, 1, 2_000_000_000)
      project.levels.push({ branch, kind: 'logical', at, value: size })
      project.levels.push({ branch, kind: index === 0 ? 'root' : 'child', at, value: Math.floor(size / (index + 1)) })
      project.levels.push({ branch, kind: 'history', at, value: between(random, 0, 90_000_000) })
      if (index === 0)
        project.levels.push({ branch: '', kind: 'snapshots', at, value: between(random, 0, 5_000_000_000) })
      const start = at + between(random, 0, hour)
      let [from, until] = [start, Math.min(to, start + between(random, second, 30 * hour))]
      while (from < until) {
        const next = Math.min(until, from + between(random, second, 9 * hour))
        project.served.push({ branch, from, to: next, cu: between(random, 1, 16) / 4 })
        from = next
      }
      for (let count = between(random, 0, 6); count > 0 && until > start; count--) {
        const moment = between(random, start, until - 1)
        project.sent.push({
          branch,
          at: moment,
          written: between(random, 0, 50_000_000),
          transfer: between(random, 0, 9_000_000),
        })
      }
    }
    if (to < endedAt || index === 2) {
      for (const kind of ['exists', 'logical', index === 0 ? 'root' : 'child', 'history'])
        project.levels.push({ branch, kind, at: to, value: 0 })
    }
  }
  return project
}

/** As the events happened, one after the other, through what counts and what stores. */
async function live(client: pg.Client, project: Simulated): Promise<void> {
  const sql = {
    query: async <R>(text: string, values: readonly unknown[] = []) =>
      (await client.query(text, [...values])).rows as R[],
  }
  for (const { org, from, to } of project.owners) {
    await client.query('insert into usage_owners values ($1, $2, $3, $4, $5)', [
      project.id,
      new Date(from),
      Number.isFinite(to) ? new Date(to) : null,
      org,
      new Date(project.createdAt),
    ])
  }
  const levels = project.levels.toSorted((one, other) => one.at - other.at)
  await client.query(
    `select note_level($1, branch, kind, value, at)
       from unnest($2::text[], $3::text[], $4::bigint[], $5::timestamptz[]) with ordinality as l (branch, kind, value, at, place)
      order by place`,
    [
      project.id,
      levels.map((each) => each.branch),
      levels.map((each) => each.kind),
      levels.map((each) => each.value),
      levels.map((each) => new Date(each.at)),
    ],
  )
  const ledger = new Ledger(() => {})
  const place = (branch: string) => ({
    projectId: project.id as ProjectId,
    branchId: branch as BranchId,
    endpointId: `ep-${branch}` as EndpointId,
  })
  const timelines = new Map<string, TimelineId>()
  const store = async (): Promise<void> => {
    const content = ledger.take()
    if (content) await account(sql, content)
  }
  for (const { branch, from, to, cu } of project.served) {
    const timelineId = timelines.get(branch) ?? (`t${timelines.size}` as TimelineId)
    timelines.set(branch, timelineId)
    if (ledger.running().get(timelineId)?.since === from) ledger.resize(timelineId, cu, from)
    else ledger.start({ timelineId, ...place(branch), cu, since: from })
    ledger.accrue(timelineId, from + Math.floor((to - from) / 3))
    ledger.accrue(timelineId, to)
    const follows = project.served.some((next) => next.branch === branch && next.from === to)
    if (!follows) ledger.stop(timelineId, to)
  }
  await store()
  const bytes = project.sent.map(({ branch, at, written, transfer }) => ({
    ...place(branch),
    at,
    writtenBytes: written,
    transferBytes: transfer,
  }))
  await account(sql, { intervals: [], bytes })
}

/** Nothing clever: cuts the time at every event and looks at what held in each piece. */
function calculate(project: Simulated, org: string, branch: string | undefined, start: number, end: number) {
  const isOurs = (at: number): boolean =>
    project.owners.some((each) => each.org === org && at >= each.from && at < each.to)
  const ofBranch = (each: { branch: string }): boolean => branch === undefined || each.branch === branch
  const cuts = [
    ...new Set([
      start,
      end,
      ...project.owners.flatMap(({ from, to }) => [from, to]),
      ...project.served.flatMap(({ from, to }) => [from, to]),
      ...project.levels.map(({ at }) => at),
    ]),
  ]
    .filter((at) => at >= start && at <= end)
    .toSorted((one, other) => one - other)
  const names = new Set(project.levels.filter(ofBranch).map((each) => `${each.branch} ${each.kind}`))
  const histories = [...names].map((name) =>
    project.levels.filter((each) => `${each.branch} ${each.kind}` === name).toSorted((one, other) => one.at - other.at),
  )
  const holding = (at: number): Record<string, number> => {
    const sums: Record<string, number> = { exists: 0, root: 0, child: 0, history: 0, snapshots: 0, logical: 0 }
    for (const history of histories) {
      const last = history.findLast((each) => each.at <= at)
      if (last) sums[last.kind] = (sums[last.kind] ?? 0) + last.value
    }
    return sums
  }
  const total = { active: 0, compute: 0, root: 0, child: 0, history: 0, snapshots: 0, logical: 0, extra: 0 }
  const served = project.served.filter((each) => ofBranch(each) && each.from < end && each.to > start)
  for (const [index, from] of cuts.entries()) {
    const to = cuts[index + 1]
    if (to === undefined || !isOurs(from)) continue
    const length = to - from
    for (const each of served) {
      if (each.from > from || each.to < to) continue
      total.active += length / 1000
      total.compute += (length / 1000) * each.cu
    }
    const held = holding(from)
    for (const kind of ['root', 'child', 'history', 'snapshots', 'logical'] as const)
      total[kind] += (held[kind] ?? 0) * length
    total.extra += Math.max(0, (held['exists'] ?? 0) - 10) * length
  }
  const sent = project.sent.filter((each) => ofBranch(each) && each.at >= start && each.at < end && isOurs(each.at))
  const { root = 0, child = 0, history = 0, logical = 0 } = isOurs(end - 1) ? holding(end - 1) : {}
  const month = new Date(start)
  const monthMs =
    Date.UTC(month.getUTCFullYear(), month.getUTCMonth() + 1, 1) -
    Date.UTC(month.getUTCFullYear(), month.getUTCMonth(), 1)
  const written = sent.reduce((sum, each) => sum + each.written, 0)
  const transfer = sent.reduce((sum, each) => sum + each.transfer, 0)
  return {
    active_time_seconds: total.active,
    compute_time_seconds: total.compute,
    written_data_bytes: written,
    synthetic_storage_size_bytes: root + child + history,
    data_storage_bytes_hour: (total.root + total.child + total.history) / hour,
    logical_size_bytes: logical,
    logical_size_bytes_hour: total.logical / hour,
    compute_unit_seconds: total.compute,
    root_branch_bytes_month: total.root / monthMs,
    child_branch_bytes_month: total.child / monthMs,
    instant_restore_bytes_month: total.history / monthMs,
    public_network_transfer_bytes: transfer,
    private_network_transfer_bytes: 0,
    extra_branches_month: total.extra / monthMs,
    snapshot_storage_bytes_month: total.snapshots / monthMs,
  }
}

type Sample = { timeframe_start: string; timeframe_end: string } & Record<string, unknown>
type Period = {
  period_id: string
  period_plan: string
  period_start: string
  period_end?: string
  consumption: Sample[]
}

const olderMetrics = [
  'active_time_seconds',
  'compute_time_seconds',
  'written_data_bytes',
  'synthetic_storage_size_bytes',
  'data_storage_bytes_hour',
  'logical_size_bytes',
  'logical_size_bytes_hour',
] as const
const branchMetrics = [
  'compute_unit_seconds',
  'root_branch_bytes_month',
  'child_branch_bytes_month',
  'instant_restore_bytes_month',
  'public_network_transfer_bytes',
  'private_network_transfer_bytes',
] as const
const projectMetrics = [...branchMetrics, 'extra_branches_month', 'snapshot_storage_bytes_month'] as const

const toBody = ({ data }: { data: unknown }): Record<string, unknown> => data as Record<string, unknown>

const spans = { hourly: 60 * hour, daily: 48 * day, monthly: 62 * day } as const
const iso = (at: number): string => new Date(at).toISOString()

describe(`consumption (PGROVE_USAGE_SEED=${seed})`, () => {
  let server: TestServer
  let orgs: [string, string]
  const now = Date.now()
  const random = new Random(seed)
  const projects: Simulated[] = []
  before(async () => {
    server = await startServer({
      env: { PGROVE_STORAGE: 'copy', PGROVE_WARM_POOL: '0,0' },
    })
    const { body } = await request(server, 'GET', '/users/me/organizations')
    const found = body['organizations'] as { id: string; name: string; plan: string }[]
    const named = (plan: RegExp): string => found.find((each) => plan.test(each.plan))?.id ?? ''
    orgs = [named(/free/), named(/scale/)]
    await withControlDatabase(server.home, async (client) => {
      for (let number = 0; number < 4; number++) {
        const project = simulate(random, now, number === 1 ? [orgs[1], orgs[0]] : orgs, number)
        projects.push(project)
        await live(client, project)
      }
    })
  })
  after(async () => await server[Symbol.asyncDispose]())

  const history = async (path: 'projects' | 'v2/projects' | 'v2/branches', query: Record<string, string>) => {
    const api = apiClient(server)
    switch (path) {
      case 'projects':
        return toBody(
          await api.getConsumptionHistoryPerProject(query as unknown as GetConsumptionHistoryPerProjectParams),
        )
      case 'v2/projects':
        return toBody(
          await api.getConsumptionHistoryPerProjectV2(query as unknown as GetConsumptionHistoryPerProjectV2Params),
        )
      case 'v2/branches':
        return toBody(
          await api.getConsumptionHistoryPerBranchV2(query as unknown as GetConsumptionHistoryPerBranchV2Params),
        )
    }
  }
  const assertSame = (
    periods: Period[],
    expected: (start: number, end: number) => Record<string, number>,
    metrics: readonly string[],
    read: (sample: Sample) => Record<string, unknown>,
    what: string,
  ): number => {
    let samples = 0
    for (const period of periods) {
      for (const sample of period.consumption) {
        const [start, end] = [Date.parse(sample.timeframe_start), Date.parse(sample.timeframe_end)]
        assert.ok(start >= Date.parse(period.period_start), 'a sample lies in its period')
        const figures = expected(start, Math.min(end, now - 1))
        const told = read(sample)
        for (const metric of metrics) {
          const difference = Math.abs(Number(told[metric]) - (figures[metric] ?? Number.NaN))
          assert.ok(
            difference <= 1,
            `${what} ${sample.timeframe_start} ${metric}: ${String(told[metric])}, not ${figures[metric]}`,
          )
        }
        samples += 1
      }
    }
    return samples
  }
  const flat = (sample: Sample): Record<string, unknown> => sample
  const listed = (sample: Sample): Record<string, unknown> =>
    Object.fromEntries(
      (sample['metrics'] as { metric_name: string; value: number }[]).map((each) => [each.metric_name, each.value]),
    )

  for (const granularity of ['hourly', 'daily', 'monthly'] as const) {
    // What has not ended yet goes on while the test runs: only whole timeframes can be compared.
    const stretch = { granularity, from: iso(now - spans[granularity]), to: iso(now - hour) }

    test(`${granularity}, of projects: what the events amount to, split by organization`, async () => {
      for (const org of orgs) {
        const ours = projects.filter(({ owners }) => owners.some((each) => each.org === org))
        const newer = await history('v2/projects', {
          ...stretch,
          org_id: org,
          metrics: projectMetrics.join(),
          project_ids: ours.map(({ id }) => id).join(),
          limit: '100',
        })
        const pages = [{ rows: newer['projects'], metrics: projectMetrics, read: listed }] as {
          rows: { project_id: string; periods: Period[] }[]
          metrics: readonly string[]
          read: typeof listed
        }[]
        if (org === orgs[1]) {
          const query = { ...stretch, org_id: org, metrics: olderMetrics.join(), limit: '100' }
          const older = await history('projects', query)
          pages.push({ rows: older['projects'] as never, metrics: olderMetrics, read: flat })
        }
        let samples = 0
        for (const { rows, metrics, read } of pages) {
          for (const { project_id: id, periods } of rows) {
            const project = projects.find((each) => each.id === id)
            if (!project) continue
            const expected = (start: number, end: number) => calculate(project, org, undefined, start, end)
            samples += assertSame(periods, expected, metrics, read, `${org} ${id}`)
          }
        }
        assert.ok(samples > 0)
      }
    })

    test(`${granularity}, of branches: each its own, deleted ones too`, async () => {
      const [project] = projects
      assert.ok(project)
      for (const org of orgs) {
        const { branches } = (await history('v2/branches', {
          ...stretch,
          org_id: org,
          metrics: branchMetrics.join(),
          project_ids: project.id,
        })) as unknown as { branches: { project_id: string; branch_id: string; periods: Period[] }[] }
        if (granularity === 'daily') assert.equal(branches.length, project.branches.length)
        for (const { branch_id: branch, periods } of branches.filter((_, index) => index % 3 !== 1)) {
          const expected = (start: number, end: number) => calculate(project, org, branch, start, end)
          assertSame(periods, expected, branchMetrics, listed, branch)
        }
      }
    })
  }

  test('every timeframe is there, and a period ends where its month does', async () => {
    const from = Date.UTC(new Date(now).getUTCFullYear(), new Date(now).getUTCMonth() - 1, 28)
    const to = Math.floor(now / day) * day
    const { projects: told } = (await history('v2/projects', {
      granularity: 'daily',
      from: iso(from + 5 * hour),
      to: iso(to + 7 * hour),
      org_id: orgs[1],
      metrics: 'compute_unit_seconds',
    })) as unknown as { projects: { periods: Period[] }[] }
    const periods = told[0]?.periods ?? []
    const starts = periods.flatMap(({ consumption }) => consumption.map((each) => Date.parse(each.timeframe_start)))
    assert.deepEqual(
      starts,
      Array.from({ length: (to - from) / day }, (_, index) => from + index * day),
    )
    assert.equal(periods.length, new Date(to - 1).getUTCMonth() === new Date(from).getUTCMonth() ? 1 : 2)
    assert.equal(periods[0]?.period_end, iso(periodEnd(from)).replace('.000Z', 'Z'))
    if (periods[1]) assert.equal(periods[1].period_end, undefined, 'not over yet')
    assert.ok(periods.every((each) => each.period_plan === 'scale_v3'))
    assert.equal(new Set(periods.map((each) => each.period_id)).size, periods.length)
  })

  test('pages: newest projects first, branches by id, each once', async () => {
    const stretch = { granularity: 'daily', from: iso(now - 55 * day), to: iso(now), metrics: 'compute_unit_seconds' }
    const expected = projects
      .filter(({ owners }) => owners.some(({ org }) => org === orgs[0]))
      .toSorted((one, other) => other.createdAt - one.createdAt)
      .map(({ id }) => id)
    const seen: string[] = []
    for (let cursor: string | undefined, page = 0; page < 20; page++) {
      const query = {
        ...stretch,
        org_id: orgs[0],
        limit: '2',
        project_ids: expected.join(),
        ...(cursor ? { cursor } : {}),
      }
      const body = (await history('v2/projects', query)) as unknown as {
        projects: { project_id: string }[]
        pagination?: { cursor: string }
      }
      seen.push(...body.projects.map((each) => each.project_id))
      cursor = body.pagination?.cursor
      if (body.projects.length === 0) {
        assert.equal(body.pagination, undefined)
        break
      }
      assert.equal(cursor, seen.at(-1))
    }
    assert.deepEqual(seen, expected)
    const asked = projects.filter((_, number) => number % 2 === 0)
    const branches: string[] = []
    for (let cursor: string | undefined, page = 0; page < 20; page++) {
      const ids = asked.map(({ id }) => id)
      const parameters = new URLSearchParams({ ...stretch, org_id: orgs[0], limit: '5', ...(cursor ? { cursor } : {}) })
      // Repeated, where elsewhere they are joined.
      for (const id of ids) parameters.append('project_ids', id)
      const { status, body } = await request(server, 'GET', `/consumption_history/v2/branches?${parameters.toString()}`)
      assert.equal(status, 200, JSON.stringify(body))
      const rows = body['branches'] as { branch_id: string }[]
      branches.push(...rows.map((each) => each.branch_id))
      cursor = (body['pagination'] as { cursor: string } | undefined)?.cursor
      if (rows.length === 0) break
    }
    assert.deepEqual(
      branches,
      asked.flatMap((each) => each.branches.map(({ id }) => id)),
    )
  })

  test('what is not told is refused, and with which status', async () => {
    const base: Record<string, string> = {
      granularity: 'daily',
      from: iso(now - 3 * day),
      to: iso(now),
      org_id: orgs[1],
      metrics: 'compute_unit_seconds',
      project_ids: 'sim-project-0',
    }
    const refusals: [string, Record<string, string | undefined>, number][] = [
      ['v2/projects', { from: iso(now - 62 * day) }, 406],
      ['v2/projects', { granularity: 'hourly', from: iso(now - 170 * hour) }, 406],
      ['v2/branches', { granularity: 'monthly', from: iso(now - 400 * day) }, 406],
      ['v2/projects', { from: '2023-01-01T00:00:00Z' }, 406],
      ['v2/projects', { from: iso(now), to: iso(now - 2 * day) }, 406],
      ['v2/projects', { org_id: 'org-of-somebody-12345678' }, 404],
      ['v2/branches', { org_id: 'org-of-somebody-12345678' }, 404],
      ['projects', { org_id: 'org-of-somebody-12345678', metrics: undefined }, 404],
      ['projects', { org_id: orgs[0], metrics: undefined }, 403],
      ['v2/projects', { metrics: 'active_time_seconds' }, 400],
      ['v2/branches', { metrics: 'snapshot_storage_bytes_month' }, 400],
      ['projects', { metrics: 'compute_unit_seconds' }, 400],
      ['v2/projects', { metrics: undefined }, 400],
      ['v2/projects', { org_id: undefined }, 400],
      ['v2/branches', { project_ids: undefined }, 400],
      ['v2/projects', { limit: '101' }, 400],
      ['v2/branches', { cursor: 'nonsense' }, 400],
      ['v2/projects', { granularity: 'yearly' }, 400],
      ['v2/projects', { from: 'yesterday' }, 400],
    ]
    for (const [path, change, status] of refusals) {
      const query = Object.entries({ ...base, ...change }).filter(
        (each): each is [string, string] => each[1] !== undefined,
      )
      const { status: told, body } = await request(
        server,
        'GET',
        `/consumption_history/${path}?${new URLSearchParams(query).toString()}`,
      )
      assert.equal(told, status, `${path} ${JSON.stringify(change)}: ${JSON.stringify(body)}`)
      assert.notEqual(body['message'], '')
    }
    const none = await history('v2/projects', { ...base, project_ids: 'never-was-1' })
    assert.deepEqual(none, { projects: [] })
    const empty = await history('v2/projects', { ...base, from: base['to'] ?? '' })
    assert.deepEqual((empty['projects'] as { periods: unknown[] }[])[0]?.periods ?? [], [])
  })

  test('a sample of the older history has its four metrics and those that were asked for', async () => {
    const query = { granularity: 'daily', from: iso(now - 2 * day), to: iso(now), org_id: orgs[1] }
    const names = async (more: Record<string, string>): Promise<string[]> => {
      const { projects: told } = (await history('projects', { ...query, ...more })) as unknown as {
        projects: { periods: Period[] }[]
      }
      return Object.keys(told[0]?.periods[0]?.consumption[0] ?? {}).slice(2)
    }
    // Without a name, the caller's default organization is meant.
    const { org_id: _, ...unnamed } = query
    assert.deepEqual(await history('projects', unnamed), await history('projects', query))
    const four = olderMetrics.slice(0, 4)
    assert.deepEqual(await names({}), four)
    assert.deepEqual(await names({ include_v1_metrics: 'true' }), [...four, 'data_storage_bytes_hour'])
    assert.deepEqual(await names({ metrics: 'logical_size_bytes' }), [...four, 'logical_size_bytes'])
  })
})

const periodEnd = (at: number): number => Date.UTC(new Date(at).getUTCFullYear(), new Date(at).getUTCMonth() + 1, 1)
