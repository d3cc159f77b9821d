// Named places in the code where a test can stop, fail or crash pgrove. Off unless `PGROVE_FAILPOINTS` says otherwise:
// `name=crash;name=error;name=pause:250`. A crash is `kill -9` of every pgrove process, the watching one first, so that nothing tidies up.

import { setTimeout as delay } from 'node:timers/promises'
import { AppError } from '../model/errors.ts'

type Action = { kind: 'crash' } | { kind: 'error' } | { kind: 'pause'; ms: number }

let actions: ReadonlyMap<string, Action> = new Map()
let crashWith: readonly number[] = []

/** Throws `config_invalid` on a text that is not in the form above. */
export function parseFailpoints(text: string): Map<string, Action> {
  const parsed = new Map<string, Action>()
  for (const entry of text.split(';').filter((part) => part.trim() !== '')) {
    const match = /^\s*([\w.:-]+)\s*=\s*(crash|error|pause:(\d+))\s*$/.exec(entry)
    if (!match)
      throw new AppError(
        'config_invalid',
        `PGROVE_FAILPOINTS: cannot read ${JSON.stringify(entry)}; write name=crash, name=error or name=pause:MS`,
      )
    const [, name = '', verb, ms] = match
    parsed.set(
      name,
      verb === 'crash' ? { kind: 'crash' } : verb === 'error' ? { kind: 'error' } : { kind: 'pause', ms: Number(ms) },
    )
  }
  return parsed
}

/** `crashWith`: pids that die with us, before us. */
export function setFailpoints(text: string, pids: readonly number[]): void {
  actions = parseFailpoints(text)
  crashWith = pids
}

export async function failpoint(name: string): Promise<void> {
  const action = actions.get(name)
  if (!action) return
  switch (action.kind) {
    case 'crash':
      for (const pid of crashWith) process.kill(pid, 'SIGKILL')
      process.kill(process.pid, 'SIGKILL')
      return
    case 'error':
      throw new AppError('internal', `failpoint ${name}`)
    case 'pause':
      await delay(action.ms)
  }
}
