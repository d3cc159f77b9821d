import { setTimeout as delay } from 'node:timers/promises'

const pollMs = 25

/** Looks until something other than undefined or false is there, and says what it waited for, and saw last, when it never is. */
export async function eventually<T>(
  what: string | (() => string),
  look: () => Promise<T | undefined | false>,
  timeoutMs = 60_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    if (Date.now() > deadline)
      throw new Error(`waited ${timeoutMs} ms in vain: ${typeof what === 'string' ? what : what()}`)
    await delay(pollMs)
  }
}
