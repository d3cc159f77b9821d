// `npm test`: every test file, a few at a time, and then a look that nothing was left behind.

import { globSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { packageRoot } from './server.ts'

const patterns = process.argv.slice(2)
const files =
  patterns.length > 0
    ? patterns
    : ['src/**/*.test.ts', 'test/**/*.test.ts'].flatMap((pattern) => globSync(pattern, { cwd: packageRoot }))
const result = spawnSync(
  process.execPath,
  [
    '--disable-warning=ExperimentalWarning',
    '--test',
    `--test-concurrency=${Math.max(2, availableParallelism())}`,
    '--test-timeout=600000',
    '--test-reporter=spec',
    ...files.toSorted(),
  ],
  { cwd: packageRoot, stdio: 'inherit' },
)
process.exitCode = result.status ?? 1
