// `npm test`: every test file, a few at a time. What fails then runs again, alone and said so, twice at most: on a crowded machine a file
// that starts a dozen servers may lose a race for the processor that it does not lose by itself, and a defect fails each time.

import { spawnSync } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { packageRoot } from './server.ts'

const memory = '/dev/shm'
const roomInMemory = 6 * 1024 ** 3

/**
 * Every home is made, synced and thrown away, and half of a first start is waits for the disk. What a power cut leaves is asked of file
 * systems that the tests make themselves, wherever their images lie.
 */
function placeForHomes(): string {
  if (process.env['TMPDIR'] !== undefined) return process.env['TMPDIR']
  try {
    const options = readFileSync('/proc/mounts', 'utf8')
      .split('\n')
      .findLast((line) => line.split(' ')[1] === memory)
      ?.split(' ')[3]
      ?.split(',')
    const { bavail, bsize } = statfsSync(memory)
    const isUsable = options?.includes('rw') && !options.includes('noexec') && bavail * bsize >= roomInMemory
    return isUsable ? memory : tmpdir()
  } catch {
    return tmpdir()
  }
}

const folderForHomes = placeForHomes()
/** Hundreds of processes of tests and of clients load the same files. */
const compiled = process.env['NODE_COMPILE_CACHE'] ?? join(packageRoot, 'node_modules/.cache/compiled')

function runFiles(files: readonly string[], concurrency: number): { status: number; failed: string[] } {
  const scratch = mkdtempSync(join(tmpdir(), 'pgrove-run-'))
  const list = join(scratch, 'failed')
  try {
    const result = spawnSync(
      process.execPath,
      [
        '--disable-warning=ExperimentalWarning',
        '--test',
        `--test-concurrency=${concurrency}`,
        '--test-timeout=600000',
        '--test-reporter=spec',
        '--test-reporter-destination=stdout',
        `--test-reporter=${join(packageRoot, 'test/support/failed-files.ts')}`,
        `--test-reporter-destination=${list}`,
        ...files,
      ],
      {
        cwd: packageRoot,
        stdio: 'inherit',
        env: { ...process.env, TMPDIR: folderForHomes, NODE_COMPILE_CACHE: compiled },
      },
    )
    const failed = readFileSync(list, 'utf8').split('\n').filter(Boolean)
    return { status: result.status ?? 1, failed: failed.map((file) => relative(packageRoot, file)) }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

const asked = process.argv.slice(2)
const patterns = ['src/**/*.test.ts', 'test/**/*.test.ts']
const files = asked.length > 0 ? asked : patterns.flatMap((pattern) => globSync(pattern, { cwd: packageRoot }))
// One more than there are processors: much of a test's time is a wait for Postgres to start or for the disk.
let { status, failed } = runFiles(files.toSorted(), availableParallelism() + 1)
for (let again = 0; again < 2 && status !== 0 && failed.length > 0; again++) {
  process.stdout.write(`\nfailed, and run again by themselves:\n  ${failed.join('\n  ')}\n\n`)
  ;({ status, failed } = runFiles(failed, 1))
}
process.exitCode = status
