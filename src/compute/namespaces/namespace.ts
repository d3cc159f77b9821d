// A namespace of the kernel for computes: made by a short-lived process, entered by `nsenter` on the way to becoming Postgres.
//
// It has no name anywhere: a namespace lives for as long as a process is in it or somebody holds it open, so a crash of ours at any moment
// leaves none behind.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, stat, type FileHandle } from 'node:fs/promises'
import { allowedEnvironment, run } from '../../lib/run.ts'
import { AppError } from '../../model/errors.ts'
import { poll } from '../process.ts'

/** As `unshare` and `nsenter` call it, and as the kernel does. */
type Kind = 'net' | 'mount'
const kernelNames: Record<Kind, string> = { net: 'net', mount: 'mnt' }

const makingTimeoutMs = 10_000
const enteringTimeoutMs = 10_000
const enteringStepMs = 1

/** `ip` and `mount` may lie where the shells of system users do not look. */
export function namespaceEnvironment(): Record<string, string> {
  const kept = allowedEnvironment({ LC_ALL: 'C' })
  return { ...kept, PATH: `${kept['PATH'] ?? ''}:/usr/sbin:/usr/bin:/sbin:/bin` }
}

/** We hold it open until it is closed. */
export class Namespace {
  readonly #kind: Kind
  readonly #handle: FileHandle
  /** The kernel's name for it. */
  readonly #inode: bigint

  private constructor(kind: Kind, handle: FileHandle, inode: bigint) {
    this.#kind = kind
    this.#handle = handle
    this.#inode = inode
  }

  /** `prepare` runs in it, as a shell's command with arguments. Throws `command_failed`. */
  static async make(kind: Kind, prepare: { script: string; args: readonly string[] }): Promise<Namespace> {
    const script = `${prepare.script} && echo made && read -r _`
    const flags = kind === 'mount' ? ['--mount', '--propagation=slave'] : [`--${kind}`]
    const child = spawn('unshare', [...flags, 'sh', '-c', script, 'sh', ...prepare.args], {
      cwd: '/',
      env: namespaceEnvironment(),
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: makingTimeoutMs,
      killSignal: 'SIGKILL',
    })
    const ended = once(child, 'close').catch(() => {})
    child.stdin.on('error', () => {})
    let complaint = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text))
    try {
      await new Promise<void>((resolve, reject) => {
        const failed = (cause: unknown): void =>
          reject(new AppError('command_failed', `no ${kind} namespace could be made`, { cause }))
        child.once('error', failed)
        child.stdout.once('data', () => resolve())
        child.once('close', () => failed(complaint.trim()))
      })
      // Held open from here on, so the process that was its first may go.
      const handle = await open(`/proc/${child.pid}/ns/${kernelNames[kind]}`, 'r')
      return new Namespace(kind, handle, (await handle.stat({ bigint: true })).ino)
    } finally {
      child.stdin.end()
      await ended
    }
  }

  /** What tells `nsenter` to go there. By way of our own process, since children do not inherit it. */
  get argument(): string {
    return `--${this.#kind}=/proc/${process.pid}/fd/${this.#handle.fd}`
  }

  /** Runs a program in it, as root. Throws `command_failed`. */
  async run(program: string, args: readonly string[]): Promise<string> {
    const options = { env: namespaceEnvironment(), timeoutMs: makingTimeoutMs }
    return (await run('nsenter', [this.argument, program, ...args], options)).stdout
  }

  /** Returns once the process is in it, or has ended. Throws `compute_start_failed`. */
  async entered(pid: number): Promise<void> {
    await poll(
      async () => {
        const found = await stat(`/proc/${pid}/ns/${kernelNames[this.#kind]}`, { bigint: true }).catch(() => undefined)
        return found === undefined || found.ino === this.#inode || undefined
      },
      {
        everyMs: enteringStepMs,
        timeoutMs: enteringTimeoutMs,
        timedOut: () => new AppError('compute_start_failed', `postgres did not get into its ${this.#kind} namespace`),
      },
    )
  }

  /** Who is in it stays in it; otherwise it is gone. */
  async close(): Promise<void> {
    await this.#handle.close()
  }
}
