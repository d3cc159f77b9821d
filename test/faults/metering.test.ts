// What is metered against what a test counts by itself: places in the log that Postgres names, bytes on the wire, the clock. Under
// suspensions, restores and crashes in a random order, and with a crash at each place where something is stored.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Server } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { Random } from '../history/random.ts'
import { CrashBench } from '../support/crash-bench.ts'
import { eventually } from '../support/eventually.ts'
import {
  call,
  createBranch,
  createProject,
  postmasterOf,
  settled,
  takeControlDatabaseAway,
  uriOf,
  withControlDatabase,
  type Made,
} from '../support/faults.ts'
import { pidOf } from '../support/leftovers.ts'
import { startExpectingFailure } from '../support/server.ts'

const seed = Number(process.env['PGROVE_USAGE_SEED'] ?? 20_261_126)
const steps = Number(process.env['PGROVE_USAGE_STEPS'] ?? 12)

/** How long after an event the figures may be: they are stored every second, and a busy test machine is slow. */
const patienceMs = 30_000
/** What an edge that is killed may take along, and a host: a second, with the time between two reports. */
const lostMs = 1_500

/** Stands between a client and the proxy, and counts what comes back. */
class Relay implements AsyncDisposable {
  readonly #server: Server
  #port: number
  bytes = 0

  private constructor(server: Server, port: number) {
    this.#server = server
    this.#port = port
  }

  static async open(): Promise<Relay> {
    const server = createServer((client) => {
      const upstream = connect(relay.#port, '127.0.0.1')
      client.pipe(upstream)
      upstream.on('data', (chunk: Buffer) => {
        relay.bytes += chunk.length
        client.write(chunk)
      })
      for (const [one, other] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        one.on('error', () => {})
        one.on('close', () => other.destroy())
      }
    })
    const relay = new Relay(server, 0)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return relay
  }

  lead(to: number): void {
    this.#port = to
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

/** A branch with an endpoint, and what it must have used. */
class Watched {
  readonly made: Made
  readonly name: string
  readonly #bench: CrashBench
  readonly relay: Relay
  client: pg.Client | undefined
  /** Since when its compute runs: at the latest, and at the earliest. */
  #awake: { latest: number; earliest: number } | undefined
  leastMs = 0
  mostMs = 0
  /** Places in the log of the timeline that it has now. */
  #lsn: { first: bigint; last: bigint } | undefined
  writtenBytes = 0n
  /** Of those on the wire, what may be missing. */
  lostBytes = 0
  #stops = 0

  constructor(bench: CrashBench, made: Made, relay: Relay, name: string) {
    this.#bench = bench
    this.made = made
    this.relay = relay
    this.name = name
  }

  get isAwake(): boolean {
    return this.#awake !== undefined
  }

  /** Its compute was begun after `earliest` and is known to run now. */
  woke(earliest: number): void {
    this.#awake ??= { latest: Date.now(), earliest }
  }

  /** Its compute ended between `earliest` and now. */
  slept(earliest: number): void {
    if (!this.#awake) return
    this.leastMs += earliest - this.#awake.latest
    this.mostMs += Date.now() - this.#awake.earliest
    this.#awake = undefined
    this.#stops += 1
  }

  get stops(): number {
    return this.#stops
  }

  /** The branch goes on with another timeline. */
  forsake(): void {
    if (this.#lsn) this.writtenBytes += this.#lsn.last - this.#lsn.first
    this.#lsn = undefined
  }

  async connected(): Promise<pg.Client> {
    if (this.client) return this.client
    const { server } = this.#bench
    const url = new URL(await uriOf(server, this.made.projectId, this.made.branchId))
    this.relay.lead(server.pgPort)
    url.port = String(this.relay.port)
    url.hostname = '127.0.0.1'
    url.search = `?options=${encodeURIComponent(`endpoint=${this.made.endpointId}`)}`
    const earliest = Date.now()
    const client = await eventually('the proxy is there', async () => {
      const attempt = new pg.Client({ connectionString: url.href, connectionTimeoutMillis: 20_000 })
      attempt.on('error', () => {})
      try {
        await attempt.connect()
        return attempt
      } catch {
        await attempt.end().catch(() => {})
        return undefined
      }
    })
    this.woke(earliest)
    this.client = client
    await this.place()
    return client
  }

  /** Asks Postgres itself how far its log has come. */
  async place(): Promise<void> {
    const { rows } = (await this.client?.query<{ at: string }>(
      `select (pg_current_wal_insert_lsn() - '0/0')::text as at`,
    )) ?? { rows: [] }
    const at = BigInt(rows[0]?.at ?? 0)
    this.#lsn ??= { first: at, last: at }
    this.#lsn.last = at
  }

  async work(random: Random): Promise<void> {
    const client = await this.connected()
    const rows = 2_000 + random.below(20_000)
    await client.query('create table if not exists t (a integer, b text)')
    await client.query(`insert into t select a, md5(a::text) from generate_series(1, $1::int) a`, [rows])
    await client.query('select a, b from t limit $1', [1 + random.below(10_000)])
    await this.place()
  }

  async leave(): Promise<void> {
    await this.client?.end().catch(() => {})
    this.client = undefined
  }

  async suspend(): Promise<void> {
    await this.leave()
    const earliest = Date.now()
    const { projectId, endpointId } = this.made
    await call(this.#bench.server, 'POST', `/projects/${projectId}/endpoints/${endpointId}/suspend`)
    await settled(this.#bench.server)
    this.slept(earliest)
  }

  async metered(): Promise<{ active: number; compute: number; written: bigint; transfer: number }> {
    return await withControlDatabase(this.#bench.home, async (client) => {
      const { rows } = await client.query<{ active: string; compute: number; written: string; transfer: string }>(
        `select coalesce(sum(active_ms), 0) as active, coalesce(sum(compute_cu_ms), 0)::float8 as compute,
                coalesce(sum(written_bytes), 0) as written, coalesce(sum(transfer_bytes), 0) as transfer
           from usage_hours where branch_id = $1`,
        [this.made.branchId],
      )
      const { active = '0', compute = 0, written = '0', transfer = '0' } = rows[0] ?? {}
      return { active: Number(active), compute, written: BigInt(written), transfer: Number(transfer) }
    })
  }

  /** When it sleeps and all is stored. */
  async assertMetered(when: string): Promise<void> {
    this.forsake()
    const expected = {
      written: Number(this.writtenBytes),
      transfer: this.relay.bytes,
      least: this.leastMs,
      most: this.mostMs,
    }
    // The checkpoint of each shutdown, and of each recovery, is the tenant's too, and behind the last place that Postgres named.
    const beside = 400 * (this.#stops + 1)
    const told = await eventually(
      `the figures of ${this.name} are complete ${when}`,
      async () => {
        const { active, compute, written, transfer } = await this.metered()
        const isComplete =
          Number(written) >= expected.written * 0.99 &&
          transfer >= (expected.transfer - this.lostBytes) * 0.99 &&
          active >= expected.least * 0.99
        return isComplete ? { active, compute, written: Number(written), transfer } : undefined
      },
      patienceMs,
    ).catch(async (error: unknown) => {
      throw new Error(`${JSON.stringify(expected)} expected, not ${asText(await this.metered())}`, { cause: error })
    })
    // Whatever would come late or twice is there by now: a round of the metering is a second.
    await delay(1_200)
    const last = await this.metered()
    assert.ok(
      Number(last.written) <= expected.written * 1.01 + beside,
      `${this.name} wrote ${expected.written}: ${asText(last)}`,
    )
    assert.ok(last.transfer <= expected.transfer, `${this.name} was sent ${expected.transfer}: ${asText(last)}`)
    assert.ok(last.active <= expected.most * 1.01, `${this.name} ran ${expected.most} ms at most: ${asText(last)}`)
    assert.ok(Math.abs(last.compute - last.active * 0.25) < 1, `${this.name}: ${asText(last)}`)
    assert.ok(told.active > 0)
  }
}

const asText = (value: object): string =>
  JSON.stringify(value, (_key, each: unknown) => (typeof each === 'bigint' ? String(each) : each))

describe(`what is metered is what was used (PGROVE_USAGE_SEED=${seed})`, () => {
  const random = new Random(seed)
  const relays: Relay[] = []
  const watched: Watched[] = []
  let bench: CrashBench
  const watch = async (made: Made, name: string, earliest: number): Promise<Watched> => {
    const relay = await Relay.open()
    relays.push(relay)
    const each = new Watched(bench, made, relay, name)
    each.woke(earliest)
    watched.push(each)
    return each
  }
  before(async () => {
    // One size, so that what a compute cost is known.
    bench = await CrashBench.open({ PGROVE_WARM_POOL: '1,1' })
    let earliest = Date.now()
    const made = await createProject(bench.server, 'metered')
    const root = await watch(made, 'root', earliest)
    const path = `/projects/${made.projectId}/endpoints/${made.endpointId}`
    await call(bench.server, 'PATCH', path, {
      endpoint: { autoscaling_limit_min_cu: 0.25, autoscaling_limit_max_cu: 0.25, suspend_timeout_seconds: 3600 },
    })
    await settled(bench.server)
    await root.work(random)
    earliest = Date.now()
    const child = await createBranch(bench.server, made, 'child')
    await call(bench.server, 'PATCH', `/projects/${made.projectId}/endpoints/${child.endpointId}`, {
      endpoint: { autoscaling_limit_min_cu: 0.25, autoscaling_limit_max_cu: 0.25, suspend_timeout_seconds: 3600 },
    })
    await settled(bench.server)
    await watch(child, 'child', earliest)
    // Where a log began is stored by the next round, and whoever is killed before that begins where the log is afterwards.
    await eventually('it is stored where their logs began', () =>
      withControlDatabase(bench.home, async (client) => {
        const { rows } = await client.query(
          'select from branches b join usage_logs l on l.timeline_id = b.timeline_id where b.id = any($1)',
          [watched.map(({ made: { branchId } }) => branchId)],
        )
        return rows.length === watched.length
      }),
    )
  })
  after(async () => {
    for (const each of watched) await each.leave()
    for (const relay of relays) await relay[Symbol.asyncDispose]()
    await bench?.[Symbol.asyncDispose]()
  })

  const pick = (): Watched => random.pick(watched) ?? assert.fail()
  const leaveAll = async (): Promise<void> => {
    for (const each of watched) await each.leave()
  }
  /** What was on the wire in the last moment may not have been reported. */
  const afterReports = async (): Promise<void> => await delay(lostMs)
  const killPostmaster = async (each: Watched): Promise<void> => {
    process.kill(await postmasterOf(bench.home, each.made.branchId), 'SIGKILL')
  }

  const acts: Record<string, () => Promise<void>> = {
    work: async () => await pick().work(random),
    suspend: async () => await pick().suspend(),
    restore: async () => {
      const [root, child] = watched
      assert.ok(root && child)
      await child.leave()
      const earliest = Date.now()
      child.forsake()
      await call(bench.server, 'POST', `/projects/${child.made.projectId}/branches/${child.made.branchId}/restore`, {
        source_branch_id: root.made.branchId,
      })
      await settled(bench.server)
      // It ran, or did not, while it was exchanged; and it runs now if it did before.
      const wasAwake = child.isAwake
      child.slept(earliest)
      if (wasAwake) child.woke(earliest)
    },
    'kill a compute': async () => {
      const each = pick()
      await each.connected()
      await each.leave()
      await killPostmaster(each)
      const earliest = Date.now()
      await eventually('it is known', async () => !(await isActive(each)))
      each.slept(earliest)
    },
    'kill the edge': async () => {
      const each = pick()
      const sent = each.relay.bytes
      await each.work(random)
      const waits = random.chance(0.5)
      if (waits) await afterReports()
      else each.lostBytes += each.relay.bytes - sent
      await leaveAll()
      process.kill(await pidOf(bench.server, 'edge'), 'SIGKILL')
      await isBack()
    },
    'kill control': async () => {
      await pick().work(random)
      process.kill(await pidOf(bench.server, 'control'), 'SIGKILL')
      await isBack()
    },
    'kill pgrove': async () => {
      await pick().work(random)
      await afterReports()
      await leaveAll()
      await bench.server.kill()
      await bench.restart()
    },
    'kill all': async () => {
      const each = pick()
      await each.work(random)
      await afterReports()
      await leaveAll()
      const earliest = Date.now()
      await bench.server.kill()
      if (each.isAwake) await killPostmaster(each)
      // Nobody saw it end: it ran until the last sign of life.
      each.slept(earliest - lostMs)
      await bench.restart()
    },
  }
  const isBack = async (): Promise<void> => {
    await eventually('the API answers again', async () => {
      const answer = await call(bench.server, 'GET', '/users/me').catch(() => undefined)
      return answer !== undefined
    })
  }
  const isActive = async (each: Watched): Promise<boolean> => {
    const path = `/projects/${each.made.projectId}/endpoints/${each.made.endpointId}`
    const { body } = await call(bench.server, 'GET', path)
    return (body['endpoint'] as { current_state: string }).current_state === 'active'
  }

  test(`${steps} random events`, async () => {
    const order = Object.keys(acts)
    while (order.length < steps)
      order.push(
        random.weighted([
          [4, 'work'] as const,
          [2, 'suspend'] as const,
          [1, 'kill control'] as const,
          [1, 'restore'] as const,
        ]),
      )
    const trail: string[] = []
    while (order.length > 0) {
      const [name] = order.splice(random.below(order.length), 1)
      trail.push(name ?? '')
      await acts[name ?? '']?.().catch((error: unknown) => {
        throw new Error(`after ${trail.join(', ')}`, { cause: error })
      })
    }
    for (const each of watched) {
      await each.work(random)
      await each.suspend()
    }
    for (const each of watched) await each.assertMetered(`after ${trail.join(', ')}`)
  })

  for (const [failpoint, again] of [
    ['usage.accounted', 'usage.delivering'],
    ['usage.delivered', 'usage.opened'],
  ] as const) {
    test(`a crash at ${failpoint}, and at ${again} on the way back, loses nothing and counts nothing twice`, async () => {
      const [root] = watched
      assert.ok(root)
      await bench.crashAt(
        failpoint,
        async () => {
          const sent = root.relay.bytes
          await root.work(random).finally(() => {
            // The proxy dies as well, before the delivery that it has just reported them for is stored.
            root.lostBytes += root.relay.bytes - sent
          })
        },
        { again },
      )
      await root.leave()
      await root.work(random)
      await root.suspend()
      await root.assertMetered(`after a crash at ${failpoint}`)
    })
  }

  for (const crashes of [false, true]) {
    test(`while the control database is away it is kept${crashes ? ', and survives a crash' : ''}`, async () => {
      const [root] = watched
      assert.ok(root)
      await root.work(random)
      const bringBack = await takeControlDatabaseAway(bench.home)
      try {
        await root.work(random)
        await afterReports()
        const waiting = join(bench.home, 'journal', 'waiting-usage.json')
        const { client } = root
        const bytes = root.relay.bytes
        await eventually('the proxy’s totals wait in the file', async () => {
          await client?.query('select 1')
          const text = await readFile(waiting, 'utf8').catch(() => '')
          return text.includes(root.made.endpointId) && text.includes('"edges":[{')
        })
        root.lostBytes += root.relay.bytes - bytes
        if (crashes) {
          await root.leave()
          await bench.server.kill()
        }
      } finally {
        await bringBack()
      }
      if (crashes) {
        // And once more, when what was in the file has arrived and the file is still there.
        const env = { PGROVE_STORAGE: 'copy', PGROVE_WARM_POOL: '1,1', PGROVE_FAILPOINTS: 'usage.resent=crash' }
        await startExpectingFailure(bench.home, env)
        await bench.restart()
      } else await isBack()
      await root.suspend()
      await root.assertMetered('after the outage')
    })
  }

  test('a suspension that a crash cuts off ends when the journal says', async () => {
    const [root] = watched
    assert.ok(root)
    await root.work(random)
    await afterReports()
    await root.leave()
    const earliest = Date.now()
    const { projectId, endpointId } = root.made
    await bench.crashAt('usage.ended', async (server) => {
      await call(server, 'POST', `/projects/${projectId}/endpoints/${endpointId}/suspend`)
    })
    await settled(bench.server)
    root.slept(earliest - lostMs)
    await root.assertMetered('after the crash')
  })
})
