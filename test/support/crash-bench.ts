// A pgrove that dies where it is told to and comes back on the same home.

import { adminSocket, homeAt } from '../../src/home.ts'
import { connectRpc } from '../../src/lib/rpc.ts'
import { withinMs } from './faults.ts'
import { destroyHome, makeHome, startServer, type TestServer } from './server.ts'

/** Arms failpoints in a running server, which must have been started with PGROVE_FAILPOINTS set; '' disarms. */
export async function arm(server: TestServer, failpoints: string): Promise<void> {
  const rpc = connectRpc(adminSocket(homeAt(server.home)))
  try {
    await rpc.whenConnected(10_000)
    await rpc.call('setFailpoints', failpoints)
  } finally {
    rpc.close()
  }
}

/** For servers whose failpoints are armed later. */
export const armable = { PGROVE_FAILPOINTS: ';' }

/** A home, and a pgrove on it that dies where it is told to and comes back. */
export class CrashBench implements AsyncDisposable {
  readonly home: string
  readonly #env: Record<string, string>
  #server: TestServer

  private constructor(home: string, env: Record<string, string>, server: TestServer) {
    this.home = home
    this.#env = env
    this.#server = server
  }

  static async open(env: Record<string, string> = {}): Promise<CrashBench> {
    const home = await makeHome('pgrove-faults-')
    try {
      return new CrashBench(home, env, await startOn(home, { ...env, ...armable }))
    } catch (error) {
      await destroyHome(home)
      throw error
    }
  }

  get server(): TestServer {
    return this.#server
  }

  /**
   * Arms the failpoint, acts, and waits until every process of pgrove has died there; then starts it again on the same home, without
   * failpoints, after it has died once more at `again` on the way. Gives what the act was answered, if it was. `withinMs`: until it dies.
   */
  async crashAt<T>(
    failpoint: string,
    act: (server: TestServer) => Promise<T>,
    options: { again?: string | undefined; withinMs?: number | undefined } = {},
  ): Promise<T | undefined> {
    const died = this.#server.exited
    await arm(this.#server, `${failpoint}=crash`)
    const acted = act(this.#server).catch(() => undefined)
    await withinMs(`pgrove dies at ${failpoint}`, options.withinMs ?? 20_000, died)
    const answer = await withinMs('the act ends', 30_000, acted)
    if (options.again !== undefined) await this.#dieOnTheWay(options.again)
    await this.restart()
    return answer
  }

  /** It may have said that it is ready by then, or not. */
  async #dieOnTheWay(failpoint: string): Promise<void> {
    const env = { ...this.#env, PGROVE_FAILPOINTS: `${failpoint}=crash` }
    const died = startOn(this.home, env).then(
      async (server) => void (await server.exited),
      () => {},
    )
    await withinMs(`pgrove dies at ${failpoint} while it recovers`, 40_000, died)
  }

  /** After every process has died. */
  async restart(env: Record<string, string> = {}): Promise<void> {
    this.#server = await startOn(this.home, { ...this.#env, ...armable, ...env })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop().catch(() => {})
    await destroyHome(this.home)
  }
}

async function startOn(home: string, env: Record<string, string>): Promise<TestServer> {
  return await startServer({ home, keepHome: true, env: { PGROVE_STORAGE: 'copy', ...env } })
}
