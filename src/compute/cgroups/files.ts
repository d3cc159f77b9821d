// Files of control groups. They are small and lie in memory: one is read within microseconds, so that a look at hundreds of computes is not worth
// a round through the thread pool for each. Writes may take a while, where memory has to be freed for one, and are waited for.

import { readFileSync } from 'node:fs'
import { mkdir, rmdir, writeFile } from 'node:fs/promises'

type ErrorCode = { code?: string }

const hasCode = (error: unknown, ...codes: string[]): boolean => codes.includes((error as ErrorCode).code ?? '')

/** Undefined where there is no such file, or its group is just going away. */
export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENODEV')) return undefined
    throw error
  }
}

/** Undefined for `max` too. */
export function readNumber(path: string): number | undefined {
  const value = Number(readText(path))
  return Number.isFinite(value) ? value : undefined
}

export async function write(path: string, value: string | number): Promise<void> {
  await writeFile(path, String(value))
}

/** `refusals`: codes that are an answer and no failure. False where it was refused. */
export async function writeUnless(path: string, value: string | number, ...refusals: string[]): Promise<boolean> {
  try {
    await write(path, value)
    return true
  } catch (error) {
    if (hasCode(error, ...refusals)) return false
    throw error
  }
}

export async function makeGroup(path: string): Promise<void> {
  await mkdir(path).catch((error: unknown) => {
    if (!hasCode(error, 'EEXIST')) throw error
  })
}

/** False while there are processes or groups in it. */
export async function removeGroup(path: string): Promise<boolean> {
  try {
    await rmdir(path)
    return true
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return true
    if (hasCode(error, 'EBUSY', 'ENOTEMPTY')) return false
    throw error
  }
}
