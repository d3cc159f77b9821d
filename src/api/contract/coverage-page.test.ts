import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { contractCacheFolder, coveragePage, coveragePagePath, implementedOperations } from './coverage-page.ts'
import { loadContract } from './load.ts'
import { ownOperations } from './own-operations.ts'

const contract = await loadContract({ cacheFolder: contractCacheFolder() })

test('docs/api-coverage.md is up to date (npm run coverage)', async () => {
  assert.equal(await readFile(coveragePagePath, 'utf8'), coveragePage(contract, implementedOperations()))
})

test('every handler is named after an operation of the contract, or of ours beside it', () => {
  const known = new Set([...contract.operations, ...ownOperations].map(({ id }) => id))
  assert.deepEqual(
    [...implementedOperations()].filter((name) => !known.has(name)),
    [],
  )
})
