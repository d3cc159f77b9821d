// The way that machines without GNU cp take, tried on this one.

import assert from 'node:assert/strict'
import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { mountedFolder, obstacleTo, plainFolder, type TestFolder } from '../../test/storage/file-systems.ts'
import { fillSampleTree, listTree } from '../../test/storage/sample-tree.ts'
import { skipUnless } from '../../test/support/programs.ts'
import { copyPortably } from './portable-copy.ts'
import { planTree, type Sharing } from './tree-plan.ts'

async function copiesAll(place: TestFolder, sharing: Sharing): Promise<void> {
  const [source, copy] = [join(place.folder, 'source'), join(place.folder, 'copy')]
  await mkdir(source, { mode: 0o700 })
  await fillSampleTree(source, undefined)
  const plan = await planTree(source, ['pg_wal/', 'postmaster.pid'])
  for (const folder of plan.folders) {
    await mkdir(join(copy, folder), { mode: 0o700 })
    await chmod(join(copy, folder), 0o700)
  }
  await copyPortably(source, copy, plan, sharing, undefined)
  const leftOut = /^(postmaster\.pid|pg_wal\/.*) /
  const expected = (await listTree(source)).filter((line) => !leftOut.test(line))
  assert.deepEqual(await listTree(copy), expected)
}

test('copies everything that was planned', async () => {
  await using place = plainFolder()
  await copiesAll(place, 'separate')
})

test('shares blocks where it is told to', skipUnless(obstacleTo('xfs')), async () => {
  await using place = mountedFolder('xfs')
  await copiesAll(place, 'shared')
})
