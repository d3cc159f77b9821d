// `kill -9` of all of pgrove at no particular moment, under everything at once: what was acknowledged is there, and nothing else is.

import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { after, before, describe, test } from 'node:test'
import pg from 'pg'
import { CrashBench } from '../support/crash-bench.ts'
import { call, createProject, madeOf, settled, uriOf, type Made } from '../support/faults.ts'
import { assertNothingLeft } from '../support/leftovers.ts'
import { query } from '../support/postgres.ts'
import { request, type TestServer } from '../support/server.ts'

const rounds = 3
const longestMs = 1500

/** What was acknowledged, and what may or may not have happened. */
type Memory = {
  projects: Map<string, Made>
  branches: Map<string, Made>
  /** Asked for; from then on either answer is right. */
  deleting: Set<string>
  written: number
  attempted: number
}

describe('a crash at any moment under load', () => {
  let bench: CrashBench
  let base: Made
  const memory: Memory = { projects: new Map(), branches: new Map(), deleting: new Set(), written: 0, attempted: 0 }

  before(async () => {
    bench = await CrashBench.open({ PGROVE_WARM_POOL: '1,2' })
    base = await createProject(bench.server, 'base')
    await query(base.uri, 'create table kept (n integer primary key)')
  })
  after(async () => {
    await bench?.[Symbol.asyncDispose]()
  })

  for (let round = 1; round <= rounds; round++) {
    const ms = randomInt(100, longestMs)
    test(`round ${round}, after ${ms} ms`, async () => {
      const { server } = bench
      const done = new AbortController()
      const work = [makeProjects, makeAndDropBranches, write, sleepAndWake].map((each) =>
        each(server, base, memory, done.signal),
      )
      await delay(ms)
      await server.kill()
      done.abort()
      await Promise.all(work)
      await bench.restart()
      await settled(bench.server)

      for (const { projectId } of memory.projects.values()) {
        const rows = await query(await uriOf(bench.server, projectId), 'select 1 as one')
        assert.deepEqual(rows, [{ one: 1 }])
      }
      for (const { branchId } of memory.branches.values()) {
        const { status } = await request(bench.server, 'GET', `/projects/${base.projectId}/branches/${branchId}`)
        if (memory.deleting.has(branchId)) assert.ok(status === 200 || status === 404, String(status))
        else assert.equal(status, 200)
      }
      const [row] = await query<{ n: string }>(
        await uriOf(bench.server, base.projectId),
        'select count(*) as n from kept',
      )
      const count = Number(row?.n)
      assert.ok(
        count >= memory.written && count <= memory.attempted,
        `${memory.written} ≤ ${count} ≤ ${memory.attempted}`,
      )
      await assertNothingLeft(bench.server)
    })
  }
})

/** Works until the server is gone. */
async function repeat(signal: AbortSignal, step: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    try {
      await step()
    } catch {
      await delay(20)
    }
  }
}

async function makeProjects(server: TestServer, _base: Made, memory: Memory, signal: AbortSignal): Promise<void> {
  await repeat(signal, async () => {
    const made = madeOf(await call(server, 'POST', '/projects', { project: { name: 'made' } }))
    memory.projects.set(made.projectId, made)
    await delay(150)
  })
}

async function makeAndDropBranches(server: TestServer, base: Made, memory: Memory, signal: AbortSignal): Promise<void> {
  await repeat(signal, async () => {
    const body = { branch: { parent_id: base.branchId }, endpoints: [{ type: 'read_write' }] }
    const made = madeOf(await call(server, 'POST', `/projects/${base.projectId}/branches`, body))
    memory.branches.set(made.branchId, made)
    const [oldest] = [...memory.branches.keys()].filter((id) => !memory.deleting.has(id))
    if (oldest === undefined || memory.branches.size % 2 === 1) return
    memory.deleting.add(oldest)
    let deleted = false
    while (!deleted && !signal.aborted) {
      const path = `/projects/${base.projectId}/branches/${oldest}?hard_delete=true`
      deleted = (await request(server, 'DELETE', path)).status < 300
    }
  })
}

async function write(server: TestServer, base: Made, memory: Memory, signal: AbortSignal): Promise<void> {
  await repeat(signal, async () => {
    const uri = new URL(base.uri)
    uri.port = String(server.pgPort)
    const client = new pg.Client({ connectionString: uri.href, connectionTimeoutMillis: 5000 })
    client.on('error', () => {})
    await client.connect()
    try {
      while (!signal.aborted) {
        memory.attempted += 1
        await client.query('insert into kept values ($1)', [memory.attempted])
        memory.written += 1
      }
    } finally {
      await client.end().catch(() => {})
    }
  })
}

async function sleepAndWake(server: TestServer, base: Made, _memory: Memory, signal: AbortSignal): Promise<void> {
  await repeat(signal, async () => {
    await call(server, 'POST', `/projects/${base.projectId}/endpoints/${base.endpointId}/suspend`)
    await delay(100)
  })
}
