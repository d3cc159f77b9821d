// That what was synced is what a machine finds after losing power, by the way that relies on XFS's ordering as well.

import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { mountedFolder, obstacleTo } from '../../test/storage/file-systems.ts'
import { fillSampleTree, listTree } from '../../test/storage/sample-tree.ts'
import { skipUnless } from '../../test/support/programs.ts'
import { markNow, syncChangedSince, syncFolderTree } from './folder-sync.ts'
import { createReflinkDriver } from './reflink.ts'

describe('on XFS', skipUnless(obstacleTo('xfs')), () => {
  test('syncing what changed since a clone makes all of the clone durable', async () => {
    await using place = mountedFolder('xfs')
    const [source, copy] = [join(place.folder, 'source'), join(place.folder, 'copy')]
    await mkdir(source)
    await fillSampleTree(source, undefined)
    await createReflinkDriver().clone(source, copy, { owner: undefined, exclude: [] })
    const mark = await markNow(copy, false)
    await writeFile(join(copy, 'base/5/1259'), Buffer.alloc(90_000, 5))
    await writeFile(join(copy, 'base/5/empty'), 'no longer')
    await writeFile(join(copy, 'made later'), 'new')
    assert.equal(await syncChangedSince(copy, mark), true)
    const expected = await listTree(copy)
    // The control: this is written after the sync, and the cut takes it.
    await writeFile(join(place.folder, 'unsynced'), Buffer.alloc(4096, 1))
    await using found = place.afterPowerCut()
    assert.deepEqual(await listTree(join(found.folder, 'copy')), expected)
    await assert.rejects(listTree(join(found.folder, 'unsynced')), { code: /ENOENT|ENOTDIR/ })
  })

  test('syncing each file does too', async () => {
    await using place = mountedFolder('xfs')
    const source = join(place.folder, 'source')
    await mkdir(source)
    await fillSampleTree(source, undefined)
    await syncFolderTree(source, 'other', undefined)
    const expected = await listTree(source)
    await using found = place.afterPowerCut()
    assert.deepEqual(await listTree(join(found.folder, 'source')), expected)
  })

  test('a mark is not believed once the clock was set', async () => {
    await using place = mountedFolder('xfs')
    const folder = join(place.folder, 'folder')
    await mkdir(folder)
    const { fileSystemMs, monotonicMs } = await markNow(folder, false)
    assert.equal(await syncChangedSince(folder, { fileSystemMs: fileSystemMs + 500, monotonicMs }), false)
    assert.equal(await syncChangedSince(folder, { fileSystemMs: fileSystemMs - 500, monotonicMs }), false)
  })
})
