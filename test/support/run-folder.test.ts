import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openRunFolder } from './run-folder.ts'

test('what a run that was killed left behind goes with the next one, and what runs beside it stays', async () => {
  const { pid: dead } = spawnSync(process.execPath, ['--version'])
  const place = await mkdtemp(join(tmpdir(), 'pgrove-run-folder-'))
  const before = process.env['TMPDIR']
  try {
    const [killed, other] = [`pgrove-tests-${dead}-a`, `pgrove-tests-${process.ppid}-b`]
    for (const name of [killed, other]) await mkdir(join(place, name, 'home'), { recursive: true })
    process.env['TMPDIR'] = place
    {
      await using folder = await openRunFolder()
      assert.deepEqual((await readdir(place)).toSorted(), [other, folder.path.slice(place.length + 1)].toSorted())
      await writeFile(join(folder.path, 'left'), '')
    }
    assert.deepEqual(await readdir(place), [other])
  } finally {
    if (before === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = before
    await rm(place, { recursive: true, force: true })
  }
})
