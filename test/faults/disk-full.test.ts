// A disk that runs full: nothing new is begun below the floor, what runs is left alone; and when it is full to the last block, what was
// acknowledged is there once there is room again.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import pg from 'pg'
import { freeBytesOf } from '../../src/storage/file-system.ts'
import { mountedFolder, obstacleTo, type MountedFolder } from '../storage/file-systems.ts'
import { eventually } from '../support/eventually.ts'
import { call, createBranch, createProject, settled, uriOf, type Made } from '../support/faults.ts'
import { assertNothingLeft } from '../support/leftovers.ts'
import { query } from '../support/postgres.ts'
import { skipUnless } from '../support/programs.ts'
import { destroyHome, makeHome, request, startServer, type TestServer } from '../support/server.ts'

const mebibyte = 1024 * 1024
const floorMb = 96

describe('below the floor', () => {
  let home: string
  let made: Made
  const start = (floor: string): Promise<TestServer> =>
    startServer({
      home,
      keepHome: true,
      env: { PGROVE_STORAGE: 'copy', PGROVE_WARM_POOL: '1,2', PGROVE_DISK_FLOOR_MB: floor },
    })
  before(async () => {
    home = await makeHome('pgrove-faults-')
    await using server = await start('64')
    made = await createProject(server, 'kept')
    await query(made.uri, 'create table kept as select 1 as n')
  })
  after(async () => {
    if (home) await destroyHome(home)
  })

  test('projects and branches are refused before anything is written, and what is there goes on', async () => {
    await using server = await start('99999999')
    const before = await counts(server)
    await assertRefused(server, made)
    assert.deepEqual(await counts(server), before)
    const uri = await uriOf(server, made.projectId)
    await query(uri, 'insert into kept values (2)')
    await call(server, 'POST', `/projects/${made.projectId}/endpoints/${made.endpointId}/suspend`)
    await settled(server)
    assert.equal((await query(uri, 'select n from kept')).length, 2, 'it wakes')
    await call(server, 'POST', `/projects/${made.projectId}/branches/${made.branchId}/roles`, {
      role: { name: 'more' },
    })
    await settled(server)
    await assertNothingLeft(server)
  })

  test('is a matter of the next start with room', async () => {
    await using server = await start('64')
    const child = await createBranch(server, made, 'later')
    assert.equal((await query(await uriOf(server, made.projectId, child.branchId), 'select n from kept')).length, 2)
    await createProject(server, 'later')
    await assertNothingLeft(server)
    await assertOtherMajorRefused(server)
  })
})

describe('a disk that really runs full', skipUnless(obstacleTo('xfs')), () => {
  let disk: MountedFolder
  let server: TestServer
  let made: Made
  let uri: string
  before(async () => {
    disk = mountedFolder('xfs', { mb: 1024 })
    server = await startServer({
      home: join(disk.folder, 'home'),
      keepHome: true,
      env: { PGROVE_STORAGE: 'copy', PGROVE_WARM_POOL: '0,1', PGROVE_DISK_FLOOR_MB: String(floorMb) },
    })
    made = await createProject(server, 'kept')
    uri = await uriOf(server, made.projectId)
    await query(uri, 'create table kept (n integer primary key, filler text)')
  })
  after(async () => {
    await server?.stop().catch(() => {})
    if (disk) {
      await destroyHome(join(disk.folder, 'home'))
      await disk[Symbol.asyncDispose]()
    }
  })

  test('below its floor nothing new is made, and above it again it is', async () => {
    const free = await freeBytesOf(disk.folder)
    await fill(disk.folder, free - (floorMb * mebibyte) / 2)
    try {
      await eventually('the floor is noticed', async () => {
        const answer = await request(server, 'POST', '/projects', { project: { name: 'too late' } })
        return answer.status === 507
      })
      await settled(server)
      await assertRefused(server, made)
      await query(uri, `insert into kept values (1, repeat('x', 1000))`)
    } finally {
      await rm(join(disk.folder, 'filler'))
    }
    await eventually('there is room again', async () => {
      const answer = await request(server, 'POST', '/projects', { project: { name: 'in time' } })
      return answer.status === 201
    })
    await settled(server)
    await assertNothingLeft(server)
  })

  test('full to the last block: what was acknowledged survives, and all goes on when there is room', async () => {
    const client = new pg.Client({ connectionString: uri })
    client.on('error', () => {})
    await client.connect()
    await fill(disk.folder, await freeBytesOf(disk.folder))
    let acknowledged = 0
    // Text that does not compress, until the database cannot go on.
    const write = `insert into kept select $1, string_agg(md5(random()::text), '') from generate_series(1, 20000)`
    for (let n = 100; n < 1100; n++) {
      const written = await client.query(write, [n]).then(
        () => true,
        () => false,
      )
      if (!written) break
      acknowledged += 1
    }
    await client.end().catch(() => {})
    assert.ok(acknowledged < 1000, 'the disk did run full')
    // Whatever these say: they end, and pgrove lives.
    await request(server, 'POST', `/projects/${made.projectId}/branches`, { branch: { name: 'hopeless' } })
    await query(uri, 'select 1').catch(() => {})
    await rm(join(disk.folder, 'filler'))

    await eventually('the API answers', async () => (await request(server, 'GET', '/projects')).status === 200)
    await settled(server)
    const count = await eventually('the database answers', () =>
      query<{ n: string }>(uri, 'select count(*) as n from kept where n >= 100').then(
        ([row]) => [Number(row?.n)],
        () => undefined,
      ),
    )
    assert.ok((count[0] ?? 0) >= acknowledged, `${acknowledged} acknowledged, ${count[0]} there`)
    const child = await createBranch(server, made, 'afterwards')
    await query(await uriOf(server, made.projectId, child.branchId), 'select count(*) from kept')
    await assertNothingLeft(server)
  })
})

/** Nor is a Postgres promised that is not there. */
async function assertOtherMajorRefused(server: TestServer): Promise<void> {
  const before = await counts(server)
  for (const major of [14, 16, 18]) {
    const { status, body } = await request(server, 'POST', '/projects', { project: { pg_version: major } })
    if (status === 201) continue
    assert.equal(status, 400)
    assert.match(
      String(body['message']),
      new RegExp(`Postgres ${major} is not installed here.*pgrove postgres add ${major}`),
    )
    assert.deepEqual(await counts(server), before)
    return
  }
}

async function assertRefused(server: TestServer, made: Made): Promise<void> {
  for (const [path, body] of [
    ['/projects', { project: { name: 'refused' } }],
    [`/projects/${made.projectId}/branches`, { branch: { name: 'refused' }, endpoints: [{ type: 'read_write' }] }],
  ] as const) {
    const answer = await request(server, 'POST', path, body)
    assert.equal(answer.status, 507, path)
    assert.match(String(answer.body['message']), /free.*until branches or projects are deleted or space is made/)
  }
}

async function counts(server: TestServer): Promise<unknown[]> {
  const { body } = await call(server, 'GET', '/projects')
  const projects = body['projects'] as { id: string }[]
  const branches = await Promise.all(
    projects.map(async ({ id }) => (await call(server, 'GET', `/projects/${id}/branches/count`)).body['count']),
  )
  return projects.map(({ id }, index) => [id, branches[index]])
}

/** Takes that much of the disk's space; all of it, if it has no more. */
async function fill(folder: string, bytes: number): Promise<void> {
  const path = join(folder, 'filler')
  let taken = 0
  // What is not to be had in one piece is taken in smaller ones.
  for (let piece = Math.floor(bytes); piece >= 4096 && taken < bytes;) {
    const { status } = spawnSync('fallocate', ['-o', String(taken), '-l', String(piece), path])
    if (status === 0) taken += piece
    else piece = Math.floor(piece / 2)
  }
}
