// A network of a compute's own: a loopback and nothing else.
//
// Whoever is in it reaches neither what listens on this machine's loopback nor anything outside; Unix sockets are files and not affected,
// which is how clients come in.

import { run } from '../../lib/run.ts'
import { isAppError } from '../../model/errors.ts'
import { Namespace, namespaceEnvironment } from './namespace.ts'

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

/** What it means for tenants, as a sentence. */
export function describeNetwork(ability: NetworkAbility): string {
  return 'tools' in ability
    ? 'each compute has one of its own, and reaches nothing outside; for organizations with outbound=on it is that of this machine, its loopback included'
    : `computes share that of this machine, its loopback included: one of their own needs ${ability.obstacle}`
}

const askingTimeoutMs = 10_000

/** Some 5 ms, which is why they are kept ready (`ready-networks.ts`). Throws `command_failed`. */
export async function makeNetwork({ loopback }: NetworkTools): Promise<Namespace> {
  return await Namespace.make('net', { script: '"$@"', args: loopback })
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
    const made = await makeNetwork(tools)
    try {
      await made.run('true', [])
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
  run(program, ['-V'], { env: namespaceEnvironment(), timeoutMs: askingTimeoutMs, tolerate: () => true }).then(
    () => true,
    (error: unknown) => !isAppError(error, 'command_failed') || !/could not be started/.test(error.message),
  )
