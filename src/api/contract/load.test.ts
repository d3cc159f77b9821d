import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadContract } from './load.ts'

test('the contract is parsed once and then read from the cache, which is rebuilt when it is damaged', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'pgrove-contract-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const cacheFolder = join(folder, 'not', 'there', 'yet')

  const parsed = await loadContract({ cacheFolder })
  assert.equal(parsed.operations.length, 163)
  assert.ok(parsed.schemas['Project'])

  const [name = ''] = await readdir(cacheFolder)
  assert.match(name, /^contract-\d+\.\d+\.\d+-\d+\.json$/)
  const path = join(cacheFolder, name)
  const intact = await readFile(path, 'utf8')
  assert.deepEqual(await loadContract({ cacheFolder }), parsed)

  for (const damaged of ['', intact.slice(0, 5000), intact.replace('createProject', 'createProjekt'), `${intact}x`]) {
    await writeFile(path, damaged)
    assert.deepEqual(await loadContract({ cacheFolder }), parsed)
    assert.equal(await readFile(path, 'utf8'), intact)
  }
})

test('a cache that cannot be kept costs time and nothing else', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'pgrove-contract-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'a-file')
  await writeFile(file, '')
  assert.equal((await loadContract({ cacheFolder: join(file, 'below') })).operations.length, 163)
})
