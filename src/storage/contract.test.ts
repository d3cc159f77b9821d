// What every driver must do, over each one this machine offers.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { mountedFolder, obstacleTo, plainFolder, type TestFolder } from '../../test/storage/file-systems.ts'
import { fillSampleTree, listTree } from '../../test/storage/sample-tree.ts'
import { smallPool } from '../../test/storage/small-pool.ts'
import { skipUnless } from '../../test/support/programs.ts'
import { setFailpoints } from '../lib/failpoint.ts'
import { silentLogger } from '../lib/logger.ts'
import type { Owner } from '../model/compute.ts'
import { isAppError } from '../model/errors.ts'
import { newTimelineId } from '../model/ids.ts'
import type { WantedStorage } from './choose.ts'
import { openStorage, type Storage } from './timelines.ts'

const isRoot = process.getuid?.() === 0
const templateOwner: Owner | undefined = isRoot ? { uid: 64_001, gid: 64_001 } : undefined
const tenant: Owner | undefined = isRoot ? { uid: 64_002, gid: 64_002 } : undefined

const places: { name: string; wanted: WantedStorage; make: () => TestFolder; obstacle: string | undefined }[] = [
  { name: 'copy', wanted: 'copy', make: plainFolder, obstacle: undefined },
  { name: 'reflink on XFS', wanted: 'reflink', make: () => mountedFolder('xfs'), obstacle: obstacleTo('xfs') },
  { name: 'reflink on btrfs', wanted: 'reflink', make: () => mountedFolder('btrfs'), obstacle: obstacleTo('btrfs') },
  { name: 'btrfs', wanted: 'btrfs', make: () => mountedFolder('btrfs'), obstacle: obstacleTo('btrfs') },
  { name: 'pool', wanted: 'pool', make: plainFolder, obstacle: obstacleTo('xfs') },
]

for (const { name, wanted, make, obstacle } of places) {
  describe(name, skipUnless(obstacle), () => {
    let place: TestFolder
    let home: string
    let storage: Storage
    const open = (floorBytes = smallPool.floorBytes): Promise<Storage> =>
      openStorage({ ...smallPool, home, wanted, floorBytes, logger: silentLogger })

    before(async () => {
      place = make()
      home = join(place.folder, 'home')
      storage = await open()
      await storage.ensureTemplate('sample', templateOwner, (draft) => fillSampleTree(draft, templateOwner))
    })
    after(async () => {
      setFailpoints('', [])
      await storage?.close({ unmount: true })
      await place?.[Symbol.asyncDispose]()
    })

    const clone = async (exclude: string[] = []): Promise<string> =>
      await storage.cloneTimeline(newTimelineId(), { template: 'sample' }, { owner: tenant, exclude })
    const template = (): string => storage.templateDir('sample')

    test('a clone equals its source but for the owner', async () => {
      const expected = await listTree(template())
      const renamed = tenant ? expected.map((line) => line.replace(' 64001:64001 ', ' 64002:64002 ')) : expected
      assert.deepEqual(await listTree(await clone()), renamed)
    })

    test('a clone of a timeline belongs to its owner, or keeps it where none is named', async () => {
      const parent = newTimelineId()
      const parentDir = await storage.cloneTimeline(parent, { template: 'sample' }, { owner: tenant })
      const child = await storage.cloneTimeline(newTimelineId(), { timeline: parent }, { owner: tenant })
      assert.deepEqual(await listTree(child), await listTree(parentDir))
      const kept = await storage.cloneTimeline(newTimelineId(), { timeline: parent }, { owner: undefined })
      assert.deepEqual(await listTree(kept), await listTree(parentDir))
    })

    test('what is excluded is left out, and a folder excluded by its contents stays', async () => {
      const dir = await clone(['postmaster.pid', 'pg_wal/', 'pg_replslot/slot/state', 'base/5/1259', 'not/there'])
      assert.deepEqual(await readdir(join(dir, 'pg_wal')), [])
      assert.equal((await stat(join(dir, 'pg_wal'))).mode & 0o777, 0o700)
      if (tenant) assert.equal((await stat(join(dir, 'pg_wal'))).uid, tenant.uid)
      const left = new Set(await readdir(dir, { recursive: true }))
      for (const gone of ['postmaster.pid', 'pg_replslot/slot/state', 'base/5/1259']) assert.ok(!left.has(gone), gone)
      for (const there of ['pg_replslot/slot', 'base/5/big', 'PG_VERSION']) assert.ok(left.has(there), there)
      assert.equal((await stat(join(dir, 'base/5'))).mode & 0o777, 0o750)
    })

    test('a hard limit bounds a timeline and none of its copies, until it is raised, where the file system has them', async (context) => {
      const [id, child] = [newTimelineId(), newTimelineId()]
      const dir = await storage.cloneTimeline(id, { template: 'sample' }, { owner: tenant })
      if (!storage.description.hardLimits) {
        assert.equal(await storage.setHardLimit(id, 1), false)
        context.diagnostic('the file system has none')
        return
      }
      const { logicalBytes } = await storage.usage(id)
      const full = { code: 'ENOSPC' }
      const write = (folder: string, mebibytes: number): Promise<void> =>
        writeFile(join(folder, 'base', `data-${crypto.randomUUID()}`), Buffer.alloc(mebibytes * 2 ** 20, 1))
      assert.equal(await storage.setHardLimit(id, logicalBytes + 8 * 2 ** 20), true)
      await write(dir, 4)
      await assert.rejects(write(dir, 16), full)
      const childDir = await storage.cloneTimeline(child, { timeline: id }, { owner: tenant })
      await write(childDir, 16)
      assert.equal(await storage.setHardLimit(child, 2 ** 20), true)
      await assert.rejects(write(childDir, 1), full)
      assert.equal(await storage.setHardLimit(id, logicalBytes + 64 * 2 ** 20), true)
      await write(dir, 16)
      await storage.close()
      storage = await open()
      await assert.rejects(write(childDir, 1), full)
      await storage.setHardLimit(child, undefined)
      await write(childDir, 1)
      await Promise.all([storage.destroyTimeline(id), storage.destroyTimeline(child)])
      await storage.emptyTrash()
    })

    test('writing to a clone leaves its source alone', async () => {
      const before = await listTree(template())
      const dir = await clone()
      await writeFile(join(dir, 'base/5/big'), 'x', { flag: 'r+' })
      assert.deepEqual(await listTree(template()), before)
    })

    test('a source may be written to meanwhile: what stays is copied, what vanishes is no error', async () => {
      const source = newTimelineId()
      const dir = await storage.cloneTimeline(source, { template: 'sample' }, { owner: tenant })
      const writer = new AbortController()
      // An atomic copy would show it half written.
      await writeFile(join(dir, 'base/5/replaced'), Buffer.alloc(8192, 1), { mode: 0o644 })
      const writing = churn(dir, writer.signal)
      try {
        for (let round = 0; round < 8; round++) {
          const copy = await storage.cloneTimeline(newTimelineId(), { timeline: source }, { owner: tenant })
          for (let i = 0; i < 50; i++) {
            assert.deepEqual(await readFile(join(copy, `base/5/rel-${i}`)), Buffer.alloc(8192, i))
          }
          assert.equal((await stat(join(copy, 'base/5/replaced'))).size, 8192)
        }
      } finally {
        writer.abort()
        await writing
      }
    })

    test('cloning again does nothing; a clone that failed leaves nothing', async () => {
      const id = newTimelineId()
      const from = { template: 'sample' }
      await assert.rejects(storage.cloneTimeline(id, from, { owner: tenant, finish: failToFinish }), /finish failed/)
      assert.equal(await storage.hasTimeline(id), false)
      setFailpoints('storage.clone.draft=error', [])
      await assert.rejects(storage.cloneTimeline(id, from, { owner: tenant }), /failpoint/)
      setFailpoints('', [])
      assert.deepEqual(await readdir(join(storage.description.root, 'drafts')), [])
      const dir = await storage.cloneTimeline(id, from, { owner: tenant, finish: leaveMark, sync: true })
      assert.equal(await storage.cloneTimeline(id, from, { owner: tenant, finish: failToFinish }), dir)
      assert.equal(await readFile(join(dir, 'mark'), 'utf8'), 'finished')
      assert.ok((await storage.listTimelines()).includes(id))
    })

    test('a source that is not there is an error', async () => {
      await assert.rejects(
        storage.cloneTimeline(newTimelineId(), { timeline: newTimelineId() }, { owner: tenant }),
        (error) => isAppError(error, 'storage_failed'),
      )
    })

    test('a template is made once, and one that failed is not there', async () => {
      await assert.rejects(
        storage.ensureTemplate('broken', undefined, () => Promise.reject(new Error('no initdb'))),
        /no initdb/,
      )
      let fills = 0
      const fill = async (draft: string): Promise<void> => {
        fills++
        await writeFile(join(draft, 'PG_VERSION'), '17\n')
      }
      await Promise.all([
        storage.ensureTemplate('once', undefined, fill),
        storage.ensureTemplate('once', undefined, fill),
      ])
      await storage.ensureTemplate('once', undefined, fill)
      assert.equal(fills, 1)
      assert.deepEqual((await readdir(join(storage.description.root, 'templates'))).sort(), ['once', 'sample'])
    })

    test('destroying may be repeated, and the id may be used again', async () => {
      const id = newTimelineId()
      await storage.destroyTimeline(id)
      for (let round = 0; round < 2; round++) {
        await storage.cloneTimeline(id, { template: 'sample' }, { owner: tenant })
        await storage.destroyTimeline(id)
        assert.equal(await storage.hasTimeline(id), false)
        await storage.destroyTimeline(id)
      }
      await storage.emptyTrash()
      assert.deepEqual(await readdir(join(storage.description.root, 'trash')), [])
    })

    test('after a kill -9 anywhere, running it again completes it', async () => {
      for (const [failpoint, verb] of [
        ['storage.clone.draft', 'clone'],
        ['storage.clone.renamed', 'clone'],
        ['storage.destroy.renamed', 'destroy'],
      ] as const) {
        const id = newTimelineId()
        if (verb === 'destroy') await storage.cloneTimeline(id, { template: 'sample' }, { owner: tenant })
        assert.equal(await crash([home, wanted, failpoint, verb, id, String(tenant?.uid ?? '')]), 'SIGKILL', failpoint)
        const next = await open()
        await next.emptyTrash()
        assert.deepEqual(await readdir(join(next.description.root, 'drafts')), [])
        assert.deepEqual(await readdir(join(next.description.root, 'trash')), [])
        if (verb === 'clone') {
          const dir = await next.cloneTimeline(id, { template: 'sample' }, { owner: tenant, sync: true })
          assert.equal((await listTree(dir)).length, (await listTree(template())).length)
        }
        await next.destroyTimeline(id)
        assert.equal(await next.hasTimeline(id), false)
        await next.close()
      }
    })

    test('syncing works whatever has been done to a timeline', async () => {
      const id = newTimelineId()
      const dir = await storage.cloneTimeline(id, { template: 'sample' }, { owner: tenant })
      await storage.syncTimeline(id)
      await writeFile(join(dir, 'base/5/1259'), Buffer.alloc(100_000, 7))
      await rm(join(dir, 'base/5/rel-1'))
      await storage.syncTimeline(id)
    })

    test('usage tells own bytes from shared ones where blocks are shared', async () => {
      const id = newTimelineId()
      const dir = await storage.cloneTimeline(id, { template: 'sample' }, { owner: tenant })
      await storage.syncTimeline(id)
      const { logicalBytes, ownBytes } = await storage.usage(id)
      assert.ok(logicalBytes > 2_500_000, `logical ${logicalBytes}`)
      if (!storage.description.copyOnWrite) assert.equal(ownBytes, logicalBytes)
      else assert.ok(ownBytes < 500_000, `own ${ownBytes}`)
      await writeFile(join(dir, 'own'), Buffer.alloc(1_000_000, 1))
      await storage.syncTimeline(id)
      assert.ok((await storage.usage(id)).ownBytes >= 1_000_000)
    })

    test('below the floor there is no room, and it says what to do', async () => {
      await storage.assertRoom()
      const { hostBytes, storageBytes } = await storage.freeBytes()
      assert.ok(hostBytes > 0 && storageBytes > 0)
      const strict = await open(2 ** 50)
      await assert.rejects(
        strict.assertRoom(),
        (error) => isAppError(error, 'disk_full') && /must stay free/.test(error.message),
      )
      await strict.close()
    })

    test('names that are no ids do not become paths', () => {
      assert.throws(() => storage.timelineDir('../../etc' as never))
      assert.throws(() => storage.templateDir('../x'))
    })
  })
}

const failToFinish = (): Promise<void> => Promise.reject(new Error('finish failed'))
const leaveMark = (draft: string): Promise<void> => writeFile(join(draft, 'mark'), 'finished')

/** Creates, removes and replaces files for as long as it may. */
async function churn(dir: string, signal: AbortSignal): Promise<void> {
  const owner = tenant ?? { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
  const write = async (path: string): Promise<void> =>
    await writeFile(path, Buffer.alloc(8192, owner.uid), { mode: 0o644 })
  while (!signal.aborted) {
    const doomed = join(dir, 'base', `dropped-${crypto.randomUUID()}`)
    await mkdir(doomed, { mode: 0o755 })
    for (let i = 0; i < 10; i++) await write(join(doomed, String(i)))
    await write(join(dir, 'base/5/replaced.new'))
    await rename(join(dir, 'base/5/replaced.new'), join(dir, 'base/5/replaced'))
    await rm(doomed, { recursive: true, force: true })
  }
}

async function crash(args: string[]): Promise<string | null> {
  const program = join(import.meta.dirname, '../../test/storage/crash.ts')
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ['ignore', 'inherit', 'inherit'],
    timeout: 60_000,
  })
  const [, signal] = (await once(child, 'exit')) as [number | null, string | null]
  return signal
}
