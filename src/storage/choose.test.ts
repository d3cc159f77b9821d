import assert from 'node:assert/strict'
import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import {
  loopDevicesUnder,
  mountedFolder,
  mountsUnder,
  obstacleTo,
  plainFolder,
} from '../../test/storage/file-systems.ts'
import { smallPool } from '../../test/storage/small-pool.ts'
import { skipUnless } from '../../test/support/programs.ts'
import { silentLogger } from '../lib/logger.ts'
import { isAppError } from '../model/errors.ts'
import { parseExtents } from './ballast.ts'
import type { WantedStorage } from './choose.ts'
import { sumShared } from './folder-usage.ts'
import { canReflink } from './probe.ts'
import { openStorage, type Storage } from './timelines.ts'

const open = (home: string, wanted: WantedStorage): Promise<Storage> =>
  openStorage({ ...smallPool, home, wanted, logger: silentLogger })

const refuses =
  (pattern: RegExp) =>
  (error: unknown): boolean =>
    isAppError(error, 'config_invalid') && pattern.test(error.message)

const fill = (draft: string): Promise<void> => writeFile(join(draft, 'PG_VERSION'), '17\n')

describe('auto', () => {
  test('takes subvolumes on btrfs', skipUnless(obstacleTo('btrfs')), async () => {
    await using place = mountedFolder('btrfs')
    const storage = await open(place.folder, 'auto')
    const { driver, pooled, atomic, copyOnWrite, why } = storage.description
    assert.deepEqual(
      { driver, pooled, atomic, copyOnWrite },
      { driver: 'btrfs', pooled: false, atomic: true, copyOnWrite: true },
    )
    assert.match(why, /btrfs/)
    await storage.close()
  })

  test('takes reflinks on XFS', skipUnless(obstacleTo('xfs')), async () => {
    await using place = mountedFolder('xfs')
    const storage = await open(place.folder, 'auto')
    const { driver, pooled, atomic, copyOnWrite } = storage.description
    assert.deepEqual(
      { driver, pooled, atomic, copyOnWrite },
      { driver: 'reflink', pooled: false, atomic: false, copyOnWrite: true },
    )
    await storage.close()
  })

  test('makes a pool where nothing can be shared, and stays with it', skipUnless(obstacleTo('xfs')), async (t) => {
    await using place = plainFolder()
    if (await canReflink(place.folder)) return t.skip('the temp folder can share blocks')
    const first = await open(place.folder, 'auto')
    assert.deepEqual([first.description.driver, first.description.pooled], ['reflink', true])
    await first.close({ unmount: true })
    await assert.rejects(open(place.folder, 'copy'), refuses(/made with pool/))
    const again = await open(place.folder, 'auto')
    assert.equal(again.description.root, first.description.root)
    assert.equal(again.description.why, first.description.why)
    await again.close({ unmount: true })
    assert.deepEqual([mountsUnder(place.folder), loopDevicesUnder(place.folder)], [[], []])
  })

  test('copies where a pool is out of reach, and says what is missing', async (t) => {
    await using place = plainFolder()
    if (await canReflink(place.folder)) return t.skip('the temp folder can share blocks')
    const path = process.env['PATH']
    process.env['PATH'] = '/nowhere'
    try {
      const storage = await open(place.folder, 'auto')
      assert.equal(storage.description.driver, 'copy')
      assert.match(storage.description.why, process.getuid?.() === 0 ? /mkfs\.xfs \(install xfsprogs\)/ : /root|Linux/)
      await assert.rejects(open(place.folder, 'pool'), refuses(/needs/))
    } finally {
      process.env['PATH'] = path
    }
  })
})

describe('an explicit choice', () => {
  test('that the machine cannot honour says what it needs', async (t) => {
    await using place = plainFolder()
    await assert.rejects(open(place.folder, 'zfs'), refuses(/not there yet/))
    if (await canReflink(place.folder)) return t.skip('the temp folder can share blocks')
    await assert.rejects(open(place.folder, 'reflink'), refuses(/share blocks/))
    await assert.rejects(open(place.folder, 'btrfs'), refuses(/btrfs/))
  })

  test('holds once there is data; until then it may change', skipUnless(obstacleTo('xfs')), async () => {
    await using place = mountedFolder('xfs')
    await (await open(place.folder, 'copy')).close()
    await (await open(place.folder, 'reflink')).close()
    const storage = await open(place.folder, 'copy')
    await storage.ensureTemplate('17', undefined, fill)
    await storage.close()
    await assert.rejects(open(place.folder, 'reflink'), refuses(/made with copy/))
    assert.equal((await open(place.folder, 'auto')).description.driver, 'copy')
    assert.equal(
      (JSON.parse(await readFile(join(place.folder, 'storage.json'), 'utf8')) as { kind: string }).kind,
      'copy',
    )
  })

  test('a record that cannot be read is not guessed at', async () => {
    await using place = plainFolder()
    await writeFile(join(place.folder, 'storage.json'), '{"kind":"floppy"}')
    await assert.rejects(open(place.folder, 'auto'), refuses(/storage\.json/))
  })
})

test(
  'the folders let a compute pass and not look',
  skipUnless(process.getuid?.() === 0 ? undefined : 'needs root'),
  async () => {
    await using place = plainFolder()
    const home = join(place.folder, 'home')
    await mkdir(home)
    await chmod(home, 0o755)
    const { root } = (await open(home, 'copy')).description
    const { mode } = await stat(join(root, 'timelines'))
    assert.equal(mode & 0o777, 0o711)
  },
)

test('extents and shared bytes are read from what the tools print', () => {
  const bmap = 'ballast:\n\t0: [0..2047]: 96..2143\n\t1: [2048..4095]: hole\n\t2: [4096..8191]: 8192..12287\n'
  assert.deepEqual(parseExtents(bmap, 0), [
    { start: 96 * 512, length: 2048 * 512 },
    { start: 8192 * 512, length: 4096 * 512 },
  ])
  assert.deepEqual(parseExtents(bmap, 6144 * 512), [{ start: 10_240 * 512, length: 2048 * 512 }])
  assert.deepEqual(parseExtents('ballast: no extents', 0), [])
  const filefrag = `File size of a is 8192 (8192 blocks of 1 bytes)
 ext:     logical_offset:        physical_offset: length:   expected: flags:
   0:        0..    8191: 1078235136..1078243327:   8192:             shared
   1:     8192..   12287: 1081237504..1081241599:   4096: 1078243328: last,eof
`
  assert.equal(sumShared(filefrag), 8192)
})
