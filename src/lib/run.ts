// Runs a program to its end. No shell, arguments as an array, an allow-listed environment; the error carries the exit
// status and the tail of stderr, so nobody has to go looking.

import { spawn } from 'node:child_process'
import { AppError } from '../model/errors.ts'

export type RunOptions = {
  cwd?: string
  env?: Record<string, string>
  owner?: { uid: number; gid: number } | undefined
  input?: string
  /** Milliseconds; the program is killed after it. */
  timeoutMs?: number
  /** An ordinary failure (exit status 1) whose whole stderr this accepts counts as success. */
  tolerate?: (stderr: string) => boolean
}

export type RunResult = { stdout: string; stderr: string }

const keptStderr = 8192
/** What a tolerant caller has to see whole; more than this is a failure whatever it says. */
const keptStderrForJudging = 4 * 1024 * 1024

const keptVariables = ['PATH', 'LANG', 'LC_ALL', 'TZ', 'HOME', 'TMPDIR']

export function allowedEnvironment(extra: Record<string, string> = {}): Record<string, string> {
  const kept: Record<string, string> = {}
  for (const name of keptVariables) {
    const value = process.env[name]
    if (value !== undefined) kept[name] = value
  }
  return { ...kept, ...extra }
}

/** Throws `command_failed` when the program cannot be started, exits non-zero or takes longer than its limit. */
export async function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const child = spawn(program, args, {
    cwd: options.cwd ?? '/',
    env: allowedEnvironment(options.env),
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(options.owner ? { uid: options.owner.uid, gid: options.owner.gid } : {}),
    ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs, killSignal: 'SIGKILL' as const }),
  })
  let stdout = ''
  let stderr = ''
  const stderrLimit = options.tolerate ? keptStderrForJudging : keptStderr
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(-stderrLimit)))
  child.stdin.on('error', () => {})
  child.stdin.end(options.input ?? '')
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.once('error', (cause) => reject(new AppError('command_failed', `${program} could not be started`, { cause })))
    child.once('close', (code, signal) => resolve([code, signal]))
  })
  const tolerated = code === 1 && stderr.length < stderrLimit && options.tolerate?.(stderr) === true
  if (code !== 0 && !tolerated) {
    throw new AppError('command_failed', `${program} ended with ${signal ?? `exit status ${code}`}`, {
      cause: stderr.slice(-keptStderr).trim() || stdout.trim(),
    })
  }
  return { stdout, stderr }
}
