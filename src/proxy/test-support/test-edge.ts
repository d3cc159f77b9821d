// An edge on free ports before a real Postgres, with certificates of its own.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ensureCertificates } from '../../lib/certificates.ts'
import { silentLogger } from '../../lib/logger.ts'
import { AppError } from '../../model/errors.ts'
import type { WokenCompute } from '../control-plane.ts'
import { startEdge, type Edge } from '../edge.ts'
import type { ListenAddress } from '../listen.ts'
import { FakeControlPlane } from './fake-control-plane.ts'
import { TestPostgres } from './postgres.ts'

export const testEndpoint = 'ep-quiet-river-a1b2c3d4'
export const testDomain = 'db.pgrove.test'

export const anyPort: ListenAddress = {
  host: '127.0.0.1',
  port: 0,
  fallbackPort: false,
  portVariable: 'PGROVE_PG_PORT',
  hostVariable: 'PGROVE_PG_HOST',
}

export class TestEdge implements AsyncDisposable {
  readonly edge: Edge
  readonly postgres: TestPostgres
  readonly controlPlane: FakeControlPlane
  readonly caFile: string
  readonly #folder: string

  private constructor(
    edge: Edge,
    postgres: TestPostgres,
    controlPlane: FakeControlPlane,
    caFile: string,
    folder: string,
  ) {
    this.edge = edge
    this.postgres = postgres
    this.controlPlane = controlPlane
    this.caFile = caFile
    this.#folder = folder
  }

  static async start(options: { handshakeTimeoutMs?: number; settings?: readonly string[] } = {}): Promise<TestEdge> {
    const folder = await mkdtemp(join(tmpdir(), 'pgrove-edge-'))
    const postgres = await TestPostgres.start(options.settings)
    const controlPlane = new FakeControlPlane(
      {
        [testEndpoint]: async (): Promise<WokenCompute> => {
          await postgres.start()
          return { socketDir: postgres.socketDir, generation: postgres.generation }
        },
        'ep-disabled': () => Promise.reject(new AppError('endpoint_disabled', 'endpoint ep-disabled is disabled')),
        'ep-broken': () => Promise.reject(new AppError('compute_start_failed', 'postgres exited with 1')),
        'ep-away': () => Promise.reject(new AppError('unavailable', 'a secret of ours')),
        'ep-starting': async () => ({ socketDir: join(postgres.folder, 'starting'), generation: '1' }),
        'ep-nowhere': async () => ({ socketDir: join(folder, 'nowhere'), generation: '1' }),
      },
      (role) => postgres.verifierOf(role),
    )
    const tls = await ensureCertificates(join(folder, 'tls'), { domains: [testDomain] })
    const edge = await startEdge({
      controlPlane,
      domains: [testDomain],
      pg: anyPort,
      http: anyPort,
      https: anyPort,
      tls,
      controlHttpSocket: join(folder, 'control.sock'),
      mockSecret: Buffer.alloc(32, 7),
      logger: silentLogger,
      ...(options.handshakeTimeoutMs === undefined ? {} : { handshakeTimeoutMs: options.handshakeTimeoutMs }),
    })
    return new TestEdge(edge, postgres, controlPlane, tls.caFile ?? '', folder)
  }

  get port(): number {
    return this.edge.ports.pg
  }

  get controlHttpSocket(): string {
    return join(this.#folder, 'control.sock')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.edge.close()
    await this.postgres[Symbol.asyncDispose]()
    await rm(this.#folder, { recursive: true, force: true })
  }
}

/** Waits for a condition that somebody else brings about. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>, timeoutMs = 10_000): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`timed out: ${what}`)
    await delay(10)
  }
}
