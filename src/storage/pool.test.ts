// The pool through everything that may happen to it, on real loop devices.

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import {
  loopDevicesUnder,
  mountsUnder,
  obstacleTo,
  plainFolder,
  type TestFolder,
} from '../../test/storage/file-systems.ts'
import { fillSampleTree, listTree } from '../../test/storage/sample-tree.ts'
import { smallPool } from '../../test/storage/small-pool.ts'
import { skipUnless } from '../../test/support/programs.ts'
import { silentLogger } from '../lib/logger.ts'
import { isAppError } from '../model/errors.ts'
import { newTimelineId } from '../model/ids.ts'
import { freeBytesOf } from './file-system.ts'
import { openPool, unmountPool, type PoolOptions } from './pool.ts'
import { openStorage, type Storage } from './timelines.ts'

const mebibyte = 1024 * 1024

const optionsFor = (place: TestFolder): PoolOptions => ({
  home: place.folder,
  floorBytes: smallPool.floorBytes,
  initialBytes: smallPool.poolInitialBytes,
  stepBytes: smallPool.poolStepBytes,
  logger: silentLogger,
})

const openPooled = (home: string): Promise<Storage> =>
  openStorage({ ...smallPool, home, wanted: 'pool', logger: silentLogger })

const imageSizes = async (place: TestFolder): Promise<{ size: number; allocated: number }> => {
  const { size, blocks } = await stat(join(place.folder, 'pool.img'))
  return { size, allocated: blocks * 512 }
}

describe('pool', skipUnless(obstacleTo('xfs')), () => {
  test('is allocated in full, closed to others, and gone from the system once unmounted', async () => {
    await using place = plainFolder()
    const pool = await openPool(optionsFor(place))
    const { size, allocated } = await imageSizes(place)
    assert.equal(size, smallPool.poolInitialBytes)
    assert.ok(allocated >= size, `${allocated} of ${size} allocated`)
    assert.equal((await stat(join(place.folder, 'pool.img'))).mode & 0o777, 0o600)
    assert.equal((await stat(pool.root)).mode & 0o777, 0o711)
    const mount = execFileSync('findmnt', ['-no', 'OPTIONS', pool.root], { encoding: 'utf8' })
    for (const flag of ['nosuid', 'nodev', 'noexec', 'noatime']) assert.match(mount, new RegExp(`\\b${flag}\\b`))
    await pool.unmount()
    await pool.unmount()
    assert.deepEqual([mountsUnder(place.folder), loopDevicesUnder(place.folder)], [[], []])
  })

  test('keeps its data through unmounting, a lost device, a device without mount, and being opened twice', async () => {
    await using place = plainFolder()
    const root = (await openPool(optionsFor(place))).root
    await writeFile(join(root, 'kept'), 'kept')
    const reopen = async (): Promise<void> => {
      const pool = await openPool(optionsFor(place))
      assert.equal(await readFile(join(pool.root, 'kept'), 'utf8'), 'kept')
      assert.equal(mountsUnder(place.folder).length, 1)
      assert.equal(loopDevicesUnder(place.folder).length, 1)
    }
    await reopen()
    await unmountPool(place.folder)
    await reopen()
    execFileSync('umount', [root])
    assert.equal(loopDevicesUnder(place.folder).length, 1)
    await reopen()
    // Detached while mounted: the kernel waits for the unmount and then frees it.
    execFileSync('losetup', ['-d', loopDevicesUnder(place.folder)[0] ?? ''])
    await reopen()
    execFileSync('umount', [root])
    await reopen()
    execFileSync('umount', ['-l', root])
    await reopen()
    await unmountPool(place.folder)
  })

  test('throws away an image that was never finished', async () => {
    await using place = plainFolder()
    await writeFile(join(place.folder, 'pool.img.draft'), 'half')
    await openPool(optionsFor(place))
    await assert.rejects(stat(join(place.folder, 'pool.img.draft')))
    await unmountPool(place.folder)
  })

  test('does not take over what somebody else mounted in its place', async () => {
    await using place = plainFolder()
    const pool = await openPool(optionsFor(place))
    await pool.unmount()
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', pool.root])
    await assert.rejects(openPool(optionsFor(place)), (error) => isAppError(error, 'config_invalid'))
    execFileSync('umount', [pool.root])
  })

  test('grows as it fills, allocated in full, also when that was cut short', async () => {
    await using place = plainFolder()
    const pool = await openPool(optionsFor(place))
    const before = await freeBytesOf(pool.root)
    execFileSync('fallocate', ['-l', String(before - 20 * mebibyte), join(pool.root, 'data')])
    await Promise.all([pool.ensureRoom(), pool.ensureRoom()])
    const grown = await imageSizes(place)
    assert.equal(grown.size, smallPool.poolInitialBytes + smallPool.poolStepBytes)
    assert.ok(grown.allocated >= grown.size)
    assert.ok((await freeBytesOf(pool.root)) > 60 * mebibyte)
    await pool.ensureRoom()
    assert.equal((await imageSizes(place)).size, grown.size)
    // A crash between allocating and telling XFS.
    execFileSync('fallocate', ['-o', String(grown.size), '-l', String(64 * mebibyte), join(place.folder, 'pool.img')])
    const free = await freeBytesOf((await openPool(optionsFor(place))).root)
    assert.ok(free > 110 * mebibyte, `${free} free`)
    await unmountPool(place.folder)
  })

  test('neither starts nor grows into the floor of the host', async () => {
    await using place = plainFolder()
    const host = await freeBytesOf(place.folder)
    await assert.rejects(openPool({ ...optionsFor(place), floorBytes: host - 100 * mebibyte }), (error) =>
      isAppError(error, 'disk_full'),
    )
    await openPool(optionsFor(place))
    const tight = await openPool({ ...optionsFor(place), floorBytes: 2 ** 50 })
    const { size } = await imageSizes(place)
    await tight.ensureRoom()
    assert.equal((await imageSizes(place)).size, size)
    await unmountPool(place.folder)
  })

  test('gives free space back and takes it again, never offering what is not allocated', async () => {
    await using place = plainFolder()
    const pool = await openPool({ ...optionsFor(place), stepBytes: 32 * mebibyte, initialBytes: 512 * mebibyte })
    const kept = Buffer.alloc(20 * mebibyte, 'kept')
    await writeFile(join(pool.root, 'kept'), kept)
    const assertBacked = async (): Promise<void> => {
      const { size, allocated } = await imageSizes(place)
      const ballast = await stat(join(pool.root, 'ballast')).then(
        ({ size }) => size,
        () => 0,
      )
      assert.ok(allocated + ballast >= size, `${allocated} allocated + ${ballast} ballast of ${size}`)
    }
    const full = await imageSizes(place)
    await pool.giveBack()
    await assertBacked()
    const thin = await imageSizes(place)
    assert.ok(full.allocated - thin.allocated >= 200 * mebibyte, `${full.allocated - thin.allocated} given back`)
    const free = await freeBytesOf(pool.root)
    execFileSync('fallocate', ['-l', String(free - 8 * mebibyte), join(pool.root, 'data')])
    await pool.ensureRoom()
    await assertBacked()
    const again = await imageSizes(place)
    assert.ok(again.allocated > thin.allocated)
    assert.equal(again.size, full.size)
    assert.ok(kept.equals(await readFile(join(pool.root, 'kept'))))
    await unmountPool(place.folder)
  })

  test('fills holes that were punched from outside; a trim of the mount cannot punch any', async () => {
    await using place = plainFolder()
    const pool = await openPool(optionsFor(place))
    const before = await imageSizes(place)
    spawnSync('fstrim', [pool.root])
    assert.equal((await imageSizes(place)).allocated, before.allocated)
    const image = join(place.folder, 'pool.img')
    execFileSync('fallocate', ['--punch-hole', '-o', String(200 * mebibyte), '-l', String(10 * mebibyte), image])
    assert.ok((await imageSizes(place)).allocated < before.size)
    await pool.ensureRoom()
    assert.ok((await imageSizes(place)).allocated >= before.size)
    await unmountPool(place.folder)
  })

  test('what was synced survives a power cut', async () => {
    await using place = plainFolder()
    const [home, copyHome] = [join(place.folder, 'a'), join(place.folder, 'b')]
    const storage = await openPooled(home)
    await storage.ensureTemplate('sample', undefined, (draft) => fillSampleTree(draft, undefined))
    const [whole, later] = [newTimelineId(), newTimelineId()]
    const from = { template: 'sample' }
    await storage.cloneTimeline(whole, from, { owner: undefined, sync: true })
    await storage.cloneTimeline(later, from, { owner: undefined })
    await writeFile(join(storage.timelineDir(later), 'base/5/1259'), Buffer.alloc(50_000, 3))
    await writeFile(join(storage.timelineDir(later), 'base/5/new'), 'new')
    await storage.syncTimeline(later)
    const expected = [await listTree(storage.timelineDir(whole)), await listTree(storage.timelineDir(later))]
    // The image as the device had it at that moment, nothing unmounted or written out on its behalf.
    execFileSync('mkdir', [copyHome])
    execFileSync('cp', ['--sparse=always', join(home, 'pool.img'), join(copyHome, 'pool.img')])
    await storage.close({ unmount: true })
    const revived = await openPooled(copyHome)
    assert.deepEqual([await listTree(revived.timelineDir(whole)), await listTree(revived.timelineDir(later))], expected)
    await revived.close({ unmount: true })
  })
})
