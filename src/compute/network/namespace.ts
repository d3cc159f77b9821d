// A network of a compute's own: a namespace of the kernel in which there is a loopback and nothing else.
//
// Whoever is in it reaches neither what listens on this machine's loopback nor anything outside; Unix sockets are files and not affected,
// which is how clients come in. It has no name anywhere: a namespace lives for as long as a process is in it or somebody holds it open,
// so a crash of ours at any moment leaves none behind.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, readlink, stat, type FileHandle } from 'node:fs/promises'
import { allowedEnvironment, run } from '../../lib/run.ts'
import { AppError, isAppError } from '../../model/errors.ts'

export type NetworkTools = {
  /** Brings up the loopback of the namespace that it runs in. */
  loopback: readonly string[]
}

/** `obstacle`: what would be needed for it, as the end of a sentence. */
export type NetworkAbility = { tools: NetworkTools } | { obstacle: string }

/** Perl for machines without iproute2: it is on every Debian. */
export const loopbackCommands = {
  ip: ['ip', 'link', 'set', 'lo', 'up'],
  // linux: include/uapi/linux/sockios.h, SIOCGIFFLAGS and SIOCSIFFLAGS; IFF_UP is 1.
  perl: [
    'perl',
    '-e',
    'socket(my $socket, 2, 2, 0) or die $!; my $lo = pack("a16 s x22", "lo", 0); ioctl($socket, 0x8913, $lo) or die $!;' +
      ' my (undef, $flags) = unpack("a16 s", $lo); ioctl($socket, 0x8914, pack("a16 s x22", "lo", $flags | 1)) or die $!',
  ],
} as const satisfies Record<string, readonly string[]>

const makingTimeoutMs = 10_000
const enteringTimeoutMs = 10_000
const enteringStepMs = 1

/** Both may lie where the shells of system users do not look. */
const environment = (): Record<string, string> => {
  const kept = allowedEnvironment({ LC_ALL: 'C' })
  return { ...kept, PATH: `${kept['PATH'] ?? ''}:/usr/sbin:/usr/bin:/sbin:/bin` }
}

/** Finds out by making one and going into it. */
export async function findNetworkAbility(): Promise<NetworkAbility> {
  if (process.platform !== 'linux') return { obstacle: 'Linux' }
  if (process.getuid?.() !== 0) return { obstacle: 'pgrove to run as root' }
  for (const loopback of Object.values(loopbackCommands)) {
    if (await works({ loopback })) return { tools: { loopback } }
  }
  for (const program of ['unshare', 'nsenter']) {
    if (!(await isThere(program))) return { obstacle: `${program} (install util-linux)` }
  }
  if (!(await isThere('ip')) && !(await isThere('perl'))) return { obstacle: 'ip (install iproute2) or perl' }
  return { obstacle: 'a kernel and a container that let root make network namespaces' }
}

async function works(tools: NetworkTools): Promise<boolean> {
  try {
    const made = await Namespace.make(tools)
    try {
      await run('nsenter', [made.argument, 'true'], { env: environment(), timeoutMs: makingTimeoutMs })
      return true
    } finally {
      await made.close()
    }
  } catch {
    return false
  }
}

/** Starting it at all is the question, not what it says. */
const isThere = (program: string): Promise<boolean> =>
  run(program, ['-V'], { env: environment(), timeoutMs: makingTimeoutMs, tolerate: () => true }).then(
    () => true,
    (error: unknown) => !isAppError(error, 'command_failed') || !/could not be started/.test(error.message),
  )

/** One that nobody else is in. We hold it open until a compute is in it. */
export class Namespace {
  readonly #handle: FileHandle
  /** The kernel's name for it. */
  readonly #inode: bigint

  private constructor(handle: FileHandle, inode: bigint) {
    this.#handle = handle
    this.#inode = inode
  }

  /** Some 5 ms, which is why they are kept ready (`ready-namespaces.ts`). Throws `command_failed`. */
  static async make({ loopback }: NetworkTools): Promise<Namespace> {
    const child = spawn('unshare', ['--net', 'sh', '-c', '"$@" && echo up && read -r _', 'sh', ...loopback], {
      cwd: '/',
      env: environment(),
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
          reject(new AppError('command_failed', 'no network namespace could be made', { cause }))
        child.once('error', failed)
        child.stdout.once('data', () => resolve())
        child.once('close', () => failed(complaint.trim()))
      })
      // Held open from here on, so the process that was its first may go.
      const handle = await open(`/proc/${child.pid}/ns/net`, 'r')
      return new Namespace(handle, (await handle.stat({ bigint: true })).ino)
    } finally {
      child.stdin.end()
      await ended
    }
  }

  /** What tells `nsenter` to go there. By way of our own process: it is closed to children when they are started. */
  get argument(): string {
    return `--net=/proc/${process.pid}/fd/${this.#handle.fd}`
  }

  /** Returns once the process is in it, or has ended. Throws `compute_start_failed`. */
  async entered(pid: number): Promise<void> {
    const deadline = performance.now() + enteringTimeoutMs
    for (;;) {
      const found = await stat(`/proc/${pid}/ns/net`, { bigint: true }).catch(() => undefined)
      if (found === undefined || found.ino === this.#inode) return
      if (performance.now() > deadline) {
        throw new AppError('compute_start_failed', 'postgres did not get into its own network', {
          cause: await readlink(`/proc/${pid}/exe`).catch(() => ''),
        })
      }
      await new Promise((resolve) => setTimeout(resolve, enteringStepMs))
    }
  }

  /** Who is in it stays in it; otherwise it is gone. */
  async close(): Promise<void> {
    await this.#handle.close()
  }
}
