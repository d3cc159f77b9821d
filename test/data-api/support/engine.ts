// An engine over a real Postgres with the club in it, asked over HTTP.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import pg from 'pg'
import { SignJWT } from 'jose'
import { TestPostgres, testPassword, testUser } from '../../../src/proxy/test-support/postgres.ts'
import { keysOfSecret } from '../../../src/data-api/authentication/secret.ts'
import { defaultConfig, type DataApiConfig } from '../../../src/data-api/config.ts'
import type { ConnectionSource } from '../../../src/data-api/connections.ts'
import { DataApi } from '../../../src/data-api/engine.ts'
import { createHttpServer } from '../../../src/data-api/http-server.ts'
import { PgConnections } from '../../../src/data-api/pg-connections.ts'
import { keeperOf } from '../../../src/data-api/schema-cache-keeper.ts'
import { silentLogger } from '../../../src/lib/logger.ts'

const club = readFileSync(new URL('../fixtures/club.sql', import.meta.url), 'utf8')
const secret = 'a secret of thirty-two characters'

export type Answer = { status: number; headers: Headers; text: string; json: unknown }
export type Ask = { method?: string; body?: unknown; headers?: Record<string, string>; as?: Record<string, unknown> }

type Parts = { postgres: TestPostgres; connections: PgConnections; server: ReturnType<typeof createHttpServer> }

export class TestEngine implements AsyncDisposable {
  readonly origin: string
  readonly admin: pg.Client
  readonly #parts: Parts
  readonly #others: TestEngine[] = []

  private constructor(origin: string, admin: pg.Client, parts: Parts) {
    this.origin = origin
    this.admin = admin
    this.#parts = parts
  }

  /** `most`: connections; `binaries`: the folder of another Postgres than the embedded one. */
  static async start(
    changed: Partial<DataApiConfig> = {},
    sql = '',
    { most = 5, binaries }: { most?: number; binaries?: string | undefined } = {},
  ): Promise<TestEngine> {
    const postgres = await TestPostgres.start([], binaries)
    const at = { host: postgres.folder, database: 'postgres' }
    const admin = new pg.Client({ ...at, user: testUser, password: testPassword })
    await admin.connect()
    try {
      await admin.query(club + sql)
    } catch (error) {
      // Whoever wrote that is told, and nothing is left behind.
      await admin.end()
      await postgres[Symbol.asyncDispose]()
      throw error
    }
    return await TestEngine.#over({ postgres, admin, most }, changed)
  }

  /** Another one over the same database, with other options; it ends with this one. */
  async beside(changed: Partial<DataApiConfig>): Promise<TestEngine> {
    const other = await TestEngine.#over({ postgres: this.#parts.postgres, admin: this.admin, most: 5 }, changed)
    this.#others.push(other)
    return other
  }

  static async #over(
    { postgres, admin, most }: { postgres: TestPostgres; admin: pg.Client; most: number },
    changed: Partial<DataApiConfig>,
  ): Promise<TestEngine> {
    const at = { host: postgres.folder, database: 'postgres' }
    const config = configOf(changed)
    const connections = new PgConnections({
      connection: { ...at, user: 'authenticator', password: 'correct horse' },
      most,
      longestWaitMs: 10_000,
    })
    const engine = engineOver(connections, config)
    const server = createHttpServer({
      handle: (request) => engine.handle(request),
      longestBodyBytes: config.longestBodyBytes,
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    return new TestEngine(`http://127.0.0.1:${port}`, admin, { postgres, connections, server })
  }

  /** Beside the one that is asked over HTTP: of the same database, told something else. `through`: what stands between it and its connections. */
  another(changed: Partial<DataApiConfig>, through = (source: ConnectionSource): ConnectionSource => source): DataApi {
    return engineOver(through(this.#parts.connections), configOf(changed))
  }

  async ask(path: string, { method = 'GET', body, headers = {}, as }: Ask = {}): Promise<Answer> {
    const token = as && (await tokenOf(as))
    const response = await fetch(this.origin + path, {
      method,
      headers: {
        ...(body === undefined || typeof body === 'string' ? {} : { 'content-type': 'application/json' }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    const isJson = /^[\w./+-]*json\b/.test(response.headers.get('content-type') ?? '') && text !== ''
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: isJson ? (JSON.parse(text) as unknown) : undefined,
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { postgres } = this.#parts
    for (const each of [this, ...this.#others]) await each.#close()
    await this.admin.end()
    await postgres[Symbol.asyncDispose]()
  }

  async #close(): Promise<void> {
    const { connections, server } = this.#parts
    server.close()
    server.closeAllConnections()
    await connections.close()
  }
}

const configOf = (changed: Partial<DataApiConfig>): DataApiConfig => ({
  ...defaultConfig,
  dbAnonRole: 'anonymous',
  ...changed,
})

function engineOver(connections: ConnectionSource, config: DataApiConfig): DataApi {
  const cache = keeperOf(connections, config, silentLogger)
  return new DataApi({ config, connections, cache, keys: keysOfSecret(secret, false), logger: silentLogger })
}

export async function tokenOf(claims: Record<string, unknown>, key = secret): Promise<string> {
  return await new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(key))
}
