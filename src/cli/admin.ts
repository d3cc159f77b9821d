// The socket on which a running pgrove answers whoever may use its home folder.

import type { Config } from '../config.ts'
import { adminSocket, homeAt, lockHolder } from '../home.ts'
import { connectRpc } from '../lib/rpc.ts'
import { AppError } from '../model/errors.ts'

const connectTimeoutMs = 3000

export type Admin = {
  home: string
  /** Of the watching process. */
  pid: number
  call: (method: string, params: unknown) => Promise<unknown>
}

/** Throws `unavailable` when nothing runs on the home folder. */
export async function withAdmin<T>(config: Config, work: (admin: Admin) => Promise<T>): Promise<T> {
  const home = homeAt(config.home)
  const holder = await lockHolder(home)
  if (!holder)
    throw new AppError('unavailable', `pgrove is not running on ${home.root}; start it with \`pgrove start\``)
  const rpc = connectRpc(adminSocket(home))
  try {
    await rpc.whenConnected(connectTimeoutMs)
    return await work({ home: home.root, pid: holder.pid, call: (method, params) => rpc.call(method, params) })
  } finally {
    rpc.close()
  }
}
