// `/sql` and WebSockets on a free port before a real Postgres. WebSockets are joined to it as they are.

import { createServer, type Server } from 'node:http'
import { once } from 'node:events'
import { connect, type AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { silentLogger } from '../../../lib/logger.ts'
import { AppError } from '../../../model/errors.ts'
import { ActivityLedger } from '../../activity.ts'
import { Authenticator } from '../../authenticate.ts'
import type { TokenAccess, WokenCompute } from '../../control-plane.ts'
import { RoleCache } from '../../role-cache.ts'
import { FakeControlPlane } from '../../test-support/fake-control-plane.ts'
import { testPassword, TestPostgres, testUser } from '../../test-support/postgres.ts'
import { Throttle } from '../../throttle.ts'
import { Waker } from '../../wake.ts'
import { createServerless, type Serverless, type WebSocketInfo } from '../serverless.ts'

export const testEndpoint = 'ep-quiet-river-a1b2c3d4'
export const testDomain = 'db.pgrove.test'

export class TestServerless implements AsyncDisposable {
  readonly postgres: TestPostgres
  readonly controlPlane: FakeControlPlane
  readonly ledger: ActivityLedger
  readonly waker: Waker
  readonly roles: RoleCache
  readonly serverless: Serverless
  readonly webSockets: WebSocketInfo[] = []
  authorizeToken: (token: string) => Promise<TokenAccess> = () =>
    Promise.reject(new AppError('unauthorized', 'no token is good enough'))
  readonly #server: Server

  private constructor(postgres: TestPostgres) {
    this.postgres = postgres
    this.controlPlane = new FakeControlPlane(
      {
        [testEndpoint]: async (): Promise<WokenCompute> => {
          await postgres.start()
          return { socketDir: postgres.socketDir, generation: postgres.generation }
        },
        'ep-quota': () => Promise.reject(new AppError('quota_exceeded', 'Your project has exceeded the quota.')),
        'ep-broken': () => Promise.reject(new AppError('compute_start_failed', 'a secret of ours')),
        'ep-away': () => Promise.reject(new AppError('unavailable', 'a secret of ours')),
        'ep-disabled': () => Promise.reject(new AppError('endpoint_disabled', 'endpoint ep-disabled is disabled')),
      },
      (role) => postgres.verifierOf(role),
    )
    this.ledger = new ActivityLedger(this.controlPlane, silentLogger)
    this.waker = new Waker(this.controlPlane, this.ledger.latencies)
    this.roles = new RoleCache(this.controlPlane, (endpointId) => this.ledger.lastActivity(endpointId))
    this.serverless = createServerless({
      domains: [testDomain],
      controlPlane: { authorizeToken: (_endpointId, _role, token) => this.authorizeToken(token) },
      authenticator: new Authenticator({ roles: this.roles, throttle: new Throttle(), mockSecret: Buffer.alloc(32) }),
      waker: this.waker,
      ledger: this.ledger,
      logger: silentLogger,
      serveWebSocket: (stream, info) => {
        this.webSockets.push(info)
        const server = connect({ path: postgres.socketPath })
        server.on('error', () => stream.destroy())
        stream.on('close', () => server.destroy())
        stream.pipe(server)
        server.pipe(stream)
      },
    })
    this.#server = createServer(
      { shouldUpgradeCallback: (request) => this.serverless.isUpgrade(request) },
      (request, response) => {
        if (!this.serverless.handleRequest(request, response)) response.writeHead(404).end('not ours')
      },
    )
    this.#server.on('upgrade', (request, socket, head) => {
      if (!this.serverless.handleUpgrade(request, socket, head)) socket.destroy()
    })
  }

  static async start(settings: readonly string[] = []): Promise<TestServerless> {
    const test = new TestServerless(await TestPostgres.start(settings))
    test.#server.listen(0, '0.0.0.0')
    await once(test.#server, 'listening')
    return test
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/sql`
  }

  get meter(): ReturnType<ActivityLedger['meter']> {
    return this.ledger.meter(testEndpoint)
  }

  /** A connection string. */
  uri({ endpoint = testEndpoint, user = testUser, password = testPassword, database = 'postgres' } = {}): string {
    return `postgresql://${user}:${encodeURIComponent(password)}@${endpoint}.${testDomain}/${database}`
  }

  async post(body: unknown, headers: Record<string, string | undefined> = {}): Promise<Answer> {
    const all = { 'neon-connection-string': this.uri(), ...headers }
    const given = Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))
    const response = await fetch(this.url, {
      method: 'POST',
      headers: given as [string, string][],
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
    const text = await response.text()
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: text.startsWith('{') ? (JSON.parse(text) as Answer['json']) : {},
    }
  }

  /** Until the test is over. */
  grant(t: TestContext, access: Partial<FakeControlPlane['access']>): void {
    const before = this.controlPlane.access
    const set = (now: FakeControlPlane['access']): void => {
      this.controlPlane.access = now
      this.roles.changed(testEndpoint)
      this.serverless.forget(testEndpoint)
    }
    t.after(() => set(before))
    set({ ...before, ...access })
  }

  /** Rows of one query, as arrays of text. */
  async rows(query: string, params: readonly unknown[] = []): Promise<unknown[]> {
    const answer = await this.post({ query, params }, { 'neon-raw-text-output': 'true', 'neon-array-mode': 'true' })
    if (answer.status !== 200) throw new Error(`${answer.status}: ${answer.text}`)
    return answer.json['rows'] as unknown[]
  }

  async until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = performance.now() + 10_000
    while (!(await isSo())) {
      if (performance.now() > deadline) throw new Error(`timed out: ${what}`)
      await delay(10)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    await this.serverless.close()
    await this.ledger.close()
    await this.postgres[Symbol.asyncDispose]()
  }
}

export type Answer = {
  status: number
  headers: Headers
  text: string
  json: Record<string, unknown>
}
