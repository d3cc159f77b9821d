// `kill -9` of pgrove while it makes, removes and restores snapshots, lets a restored branch take another's place, and restores branches. What
// was begun is completed by the next start: the branch is the old one or the new one, nothing third is there, and its address goes on to open.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { mountsUnder, obstacleTo } from '../storage/file-systems.ts'
import { CrashBench } from '../support/crash-bench.ts'
import { eventually } from '../support/eventually.ts'
import {
  atPort,
  call,
  createBranch,
  createProject,
  settled,
  uriOf,
  withControlDatabase,
  type Made,
} from '../support/faults.ts'
import { assertNothingLeft } from '../support/leftovers.ts'
import { query } from '../support/postgres.ts'
import type { Answer, TestServer } from '../support/server.ts'

const storage = obstacleTo('xfs') === undefined ? 'pool' : 'copy'

/** Rows by the name of their branch. */
type Content = Record<string, number[]>

type Scene = {
  projectId: string
  main: Made
  /** Has [1, 2, 10]; only where an act needs it. */
  child: Made | undefined
  /** Holds [1, 2] of the main branch, which has [1, 2, 3] now; `lsn` is the same place. */
  snapshotId: string
  lsn: string
  /** Restored from the snapshot and not finalized; only where an act needs it. */
  previewId: string
}

type Act = {
  title: string
  /** Before anything else happens to the scene. */
  withChild?: true
  /** Before the crash, beside what every scene has. */
  prepare?: (server: TestServer, scene: Scene) => Promise<void>
  run: (server: TestServer, scene: Scene) => Promise<Answer>
  /** All of the branches, when it is done. */
  becomes: Content
  /** What the addresses of main and child lead to then. */
  leads: { main: number[]; child?: number[] }
  /** How many snapshots there are, when it is done. */
  snapshots?: number
  /** How long it may take until the failpoint is reached. */
  withinMs?: number
}

const untouched: Content = { main: [1, 2, 3] }
const leadsAsBefore = { main: [1, 2, 3] }
const projectPath = ({ projectId }: Scene): string => `/projects/${projectId}`
const restorePath = (scene: Scene): string => `${projectPath(scene)}/snapshots/${scene.snapshotId}/restore`
const branchRestorePath = (scene: Scene, branch: Made | undefined): string =>
  `${projectPath(scene)}/branches/${branch?.branchId}/restore`

const acts = {
  snapshot: {
    title: 'a snapshot is made',
    run: (server, scene) =>
      call(server, 'POST', `${projectPath(scene)}/branches/${scene.main.branchId}/snapshot`, { name: 'now' }),
    becomes: untouched,
    leads: leadsAsBefore,
    snapshots: 2,
  },
  pastSnapshot: {
    title: 'a snapshot of a past point is made',
    run: (server, scene) =>
      call(server, 'POST', `${projectPath(scene)}/branches/${scene.main.branchId}/snapshot`, {
        name: 'past',
        lsn: scene.lsn,
      }),
    becomes: untouched,
    leads: leadsAsBefore,
    snapshots: 2,
  },
  deletion: {
    title: 'a snapshot is deleted',
    run: (server, scene) => call(server, 'DELETE', `${projectPath(scene)}/snapshots/${scene.snapshotId}`),
    becomes: untouched,
    leads: leadsAsBefore,
    snapshots: 0,
  },
  preview: {
    title: 'a snapshot is restored',
    run: (server, scene) => call(server, 'POST', restorePath(scene), { name: 'preview' }),
    becomes: { ...untouched, preview: [1, 2] },
    leads: leadsAsBefore,
  },
  finalized: {
    title: 'a snapshot is restored in place of its branch',
    run: (server, scene) => call(server, 'POST', restorePath(scene), { finalize_restore: true }),
    becomes: { main: [1, 2], 'main (old)': [1, 2, 3] },
    leads: { main: [1, 2] },
  },
  ontoChild: {
    title: 'a snapshot is restored in place of another branch',
    withChild: true,
    run: (server, scene) =>
      call(server, 'POST', restorePath(scene), { finalize_restore: true, target_branch_id: scene.child?.branchId }),
    becomes: { main: [1, 2, 3], child: [1, 2], 'child (old)': [1, 2, 10] },
    leads: { main: [1, 2, 3], child: [1, 2] },
  },
  finalization: {
    title: 'a restore is finalized',
    async prepare(server, scene) {
      const { body } = await call(server, 'POST', restorePath(scene), { name: 'preview' })
      scene.previewId = (body['branch'] as { id: string }).id
      await settled(server)
    },
    run: (server, scene) =>
      call(server, 'POST', `${projectPath(scene)}/branches/${scene.previewId}/finalize_restore`, { name: 'before' }),
    becomes: { main: [1, 2], before: [1, 2, 3] },
    leads: { main: [1, 2] },
  },
  itsPast: {
    title: 'a branch is restored to its past',
    run: (server, scene) =>
      call(server, 'POST', branchRestorePath(scene, scene.main), {
        source_branch_id: scene.main.branchId,
        source_lsn: scene.lsn,
        preserve_under_name: 'before',
      }),
    becomes: { main: [1, 2], before: [1, 2, 3] },
    leads: { main: [1, 2] },
  },
  fromParent: {
    title: 'a branch is restored from its parent',
    withChild: true,
    run: (server, scene) =>
      call(server, 'POST', branchRestorePath(scene, scene.child), { source_branch_id: scene.main.branchId }),
    becomes: { main: [1, 2, 3], child: [1, 2, 3] },
    leads: { main: [1, 2, 3], child: [1, 2, 3] },
  },
  fromParentKept: {
    title: 'a branch is restored from its parent and preserved',
    withChild: true,
    run: (server, scene) =>
      call(server, 'POST', branchRestorePath(scene, scene.child), {
        source_branch_id: scene.main.branchId,
        source_lsn: scene.lsn,
        preserve_under_name: 'before',
      }),
    becomes: { main: [1, 2, 3], child: [1, 2], before: [1, 2, 10] },
    leads: { main: [1, 2, 3], child: [1, 2] },
  },
  image: {
    title: 'an image is taken, for a branch that would have much to replay,',
    prepare: (_server, scene) => writeLog(scene),
    run: (server, scene) =>
      call(server, 'POST', `${projectPath(scene)}/branches`, {
        branch: { name: 'fresh', parent_id: scene.main.branchId },
      }),
    becomes: { ...untouched, fresh: [1, 2, 3] },
    leads: leadsAsBefore,
  },
  trim: {
    title: 'history is trimmed',
    async prepare(server, scene) {
      for (const name of ['one', 'two']) {
        await writeLog(scene)
        const { branchId } = await createBranch(server, scene.main, name)
        await call(server, 'DELETE', `${projectPath(scene)}/branches/${branchId}?hard_delete=true`)
        await settled(server)
      }
    },
    run: (server, scene) => call(server, 'PATCH', projectPath(scene), { project: { history_retention_seconds: 0 } }),
    becomes: untouched,
    leads: leadsAsBefore,
    // It comes round every half minute.
    withinMs: 60_000,
  },
} satisfies Record<string, Act>

/** `again`: where it dies once more, while it recovers from the first time. `asleep`: no compute runs when it begins. */
type Case = { act: keyof typeof acts; failpoint: string; again?: string; asleep?: true }

const at = (act: keyof typeof acts, ...failpoints: string[]): Case[] =>
  failpoints.map((failpoint) => ({ act, failpoint }))
/** The rest takes minutes, and is the same code for other chains in crash-branch.test.ts: `PGROVE_TEST_ALL=1` runs it too. */
const all = process.env['PGROVE_TEST_ALL'] === '1'
/** `recorded` of one is `before` of the next. */
const around = (chain: string, ...actions: string[]): string[] => [
  ...(all ? [`${chain}.${actions[0]}.before`] : []),
  ...actions.flatMap((action) => (all ? ['after', 'recorded'] : ['after']).map((when) => `${chain}.${action}.${when}`)),
]
const placing = (all ? ['recorded', 'placed', 'recovered', 'durable'] : ['recovered']).map(
  (where) => `placing.${where}`,
)
const cloning = all ? ['storage.clone.draft', 'storage.clone.renamed'] : []
const swapping = ['swap.suspended', 'swap.committed']

const cases: Case[] = [
  ...at(
    'snapshot',
    'create_snapshot.committed',
    ...around('create_snapshot', 'create_branch', 'timeline_archive'),
    'snapshot.pointed',
    'snapshot.kept',
  ),
  ...at('pastSnapshot', 'snapshot.pointed', 'snapshot.kept'),
  { act: 'snapshot', failpoint: 'snapshot.pointed', asleep: true },
  { act: 'snapshot', failpoint: 'snapshot.kept', again: 'snapshot.pointed' },
  ...at('deletion', 'delete_snapshot.committed', ...around('delete_snapshot', 'delete_timeline'), 'snapshot.removed'),
  { act: 'deletion', failpoint: 'snapshot.removed', again: 'snapshot.removed' },
  ...at(
    'preview',
    'restore_snapshot.committed',
    ...around('restore_snapshot', 'timeline_unarchive', 'create_branch', 'start_compute'),
    ...placing,
    ...cloning,
  ),
  { act: 'preview', failpoint: 'placing.placed', again: 'storage.clone.renamed' },
  { act: 'preview', failpoint: 'placing.recovered', again: 'timeline.forgotten' },
  ...at(
    'finalized',
    'restore_snapshot.committed',
    ...around('restore_snapshot', 'create_branch', 'suspend_compute', 'start_compute'),
    'placing.durable',
    ...swapping,
  ),
  { act: 'finalized', failpoint: 'swap.suspended', again: 'swap.committed' },
  { act: 'finalized', failpoint: 'swap.committed', asleep: true },
  ...at('ontoChild', ...swapping, 'placing.recovered'),
  ...at(
    'finalization',
    'finalize_restore.committed',
    ...around('finalize_restore', 'suspend_compute', 'start_compute'),
    ...swapping,
  ),
  { act: 'finalization', failpoint: 'swap.suspended', again: 'swap.suspended' },
  { act: 'finalization', failpoint: 'swap.committed', again: 'finalize_restore.start_compute.after' },
  ...at(
    'itsPast',
    'restore_branch.committed',
    ...around('restore_branch', 'suspend_compute', 'create_branch', 'start_compute'),
    ...placing,
    ...cloning,
    'restore_branch.suspended',
    'restore_branch.exchanged',
  ),
  { act: 'itsPast', failpoint: 'restore_branch.exchanged', asleep: true },
  { act: 'itsPast', failpoint: 'placing.recovered', again: 'restore_branch.exchanged' },
  ...at(
    'fromParent',
    ...around('restore_branch', 'delete_timeline'),
    'restore_branch.suspended',
    'restore_branch.exchanged',
    'timeline.stopped',
    'timeline.forgotten',
  ),
  { act: 'fromParent', failpoint: 'restore_branch.suspended', again: 'restore_branch.exchanged' },
  { act: 'fromParent', failpoint: 'restore_branch.exchanged', again: 'timeline.forgotten' },
  ...at('fromParentKept', 'placing.recovered', 'restore_branch.suspended', 'restore_branch.exchanged'),
  ...at('image', 'image.copied', 'image.ready'),
  { act: 'image', failpoint: 'image.copied', again: 'image.ready' },
  ...at('trim', 'trim.removed', 'trim.unlinked'),
]

const run = all ? cases : cases.filter(({ again }, index) => again === undefined || index % 2 === 0)

describe(`a crash of a snapshot or a restore (${storage})`, () => {
  let bench: CrashBench

  before(async () => {
    bench = await CrashBench.open({
      PGROVE_STORAGE: storage,
      // Nobody else copies anything: the failpoints of copying are those of the act.
      PGROVE_WARM_POOL: '0,0',
      PGROVE_RECOVERY_WINDOW_SECONDS: '0',
    })
  })
  after(async () => {
    await bench?.[Symbol.asyncDispose]()
    if (bench) assert.deepEqual(mountsUnder(bench.home), [], 'nothing stays mounted')
  })

  for (const { act: name, failpoint, again, asleep } of run) {
    const act: Act = acts[name]
    const words = [`${act.title}:`, `at ${failpoint}`, asleep ? 'asleep' : '', again ? `and then at ${again}` : '']
    test(words.filter(Boolean).join(' '), async () => {
      const scene = await setScene(bench.server, act.withChild === true)
      await act.prepare?.(bench.server, scene)
      if (asleep) await sleep(bench.server, scene)
      if (alsoOfPurges(failpoint)) await othersPurged(bench.server)
      await bench.crashAt(failpoint, (server) => act.run(server, scene), { again, withinMs: act.withinMs })
      const { server } = bench
      await settled(server)
      await assertEnded(server, scene)
      await assertNothingLeft(server)
      // The strings that were given out before.
      assert.deepEqual(await rowsOf(atPort(scene.main.uri, server.pgPort)), act.leads.main)
      if (scene.child) assert.deepEqual(await rowsOf(atPort(scene.child.uri, server.pgPort)), act.leads.child)
      assert.deepEqual(await contentOf(server, scene), act.becomes)
      await assertSnapshots(server, scene, act.snapshots ?? 1)
      await call(server, 'DELETE', projectPath(scene))
      await settled(server)
    })
  }

  test('and what was deleted between the crashes is gone', async () => {
    await assertNothingLeft(bench.server)
  })
})

/** The one that is to die there is the scene's, and not that of a scene before it. */
const alsoOfPurges = (failpoint: string): boolean => failpoint.startsWith('timeline.')

async function othersPurged({ home }: TestServer): Promise<void> {
  const deleted = `select from branches b join projects p on p.id = b.project_id
    where b.deleted_at is not null or p.deleted_at is not null`
  await withControlDatabase(home, (client) =>
    eventually('what was deleted before is gone', async () => (await client.query(deleted)).rowCount === 0),
  )
}

async function setScene(server: TestServer, withChild: boolean): Promise<Scene> {
  const main = await createProject(server, 'scene')
  const { projectId, branchId } = main
  await call(server, 'PATCH', `/projects/${projectId}/branches/${branchId}`, { branch: { name: 'main' } })
  const uri = await uriOf(server, projectId)
  await query(uri, 'create table kept (n integer primary key); insert into kept values (1), (2)')
  const [place] = await query<{ lsn: string }>(uri, 'select pg_current_wal_lsn()::text as lsn')
  const { body } = await call(server, 'POST', `/projects/${projectId}/branches/${branchId}/snapshot`)
  await settled(server)
  const child = withChild ? await createBranch(server, main, 'child') : undefined
  if (child) await query(child.uri, 'insert into kept values (10)')
  await query(uri, 'insert into kept values (3)')
  return {
    projectId,
    main,
    child,
    snapshotId: (body['snapshot'] as { id: string }).id,
    lsn: place?.lsn ?? '',
    previewId: '',
  }
}

async function sleep(server: TestServer, { projectId, main, child }: Scene): Promise<void> {
  for (const branch of [main, child]) {
    if (branch) await call(server, 'POST', `/projects/${projectId}/endpoints/${branch.endpointId}/suspend`)
    await settled(server)
  }
}

/** More than a branch of the head replays: it waits for an image. */
async function writeLog({ main }: Scene): Promise<void> {
  await query(
    main.uri,
    `select count(pg_logical_emit_message(false, 'test', repeat('x', 1000000))) from generate_series(1, 20)`,
  )
}

async function rowsOf(uri: string): Promise<number[]> {
  const rows = await query<{ n: number }>(uri, 'select n from kept order by n')
  return rows.map(({ n }) => n)
}

async function assertEnded(server: TestServer, scene: Scene): Promise<void> {
  const { body } = await call(server, 'GET', `${projectPath(scene)}/operations?limit=100`)
  const operations = body['operations'] as { action: string; status: string; error?: string }[]
  const others = operations.filter(({ status }) => status !== 'finished' && status !== 'skipped')
  assert.deepEqual(others, [])
}

/** Of every branch there is; one without an endpoint gets one for that. */
async function contentOf(server: TestServer, scene: Scene): Promise<Content> {
  const { body } = await call(server, 'GET', `${projectPath(scene)}/branches`)
  const { body: endpoints } = await call(server, 'GET', `${projectPath(scene)}/endpoints`)
  const served = new Set((endpoints['endpoints'] as { branch_id: string }[]).map((endpoint) => endpoint.branch_id))
  const content: Content = {}
  for (const branch of body['branches'] as { id: string; name: string; current_state: string }[]) {
    assert.equal(branch.current_state, 'ready', branch.name)
    if (!served.has(branch.id)) {
      await call(server, 'POST', `${projectPath(scene)}/endpoints`, {
        endpoint: { branch_id: branch.id, type: 'read_write' },
      })
      await settled(server)
    }
    content[branch.name] = await rowsOf(await uriOf(server, scene.projectId, branch.id))
  }
  return content
}

async function assertSnapshots(server: TestServer, scene: Scene, count: number): Promise<void> {
  const { body } = await call(server, 'GET', `${projectPath(scene)}/snapshots`)
  const snapshots = body['snapshots'] as { id: string; name: string }[]
  assert.equal(snapshots.length, count)
  for (const { id, name } of snapshots) {
    const made = await call(server, 'POST', `${projectPath(scene)}/snapshots/${id}/restore`)
    await settled(server)
    const branchId = (made.body['branch'] as { id: string }).id
    const expected = name === 'now' ? [1, 2, 3] : [1, 2]
    assert.deepEqual(await rowsOf(await uriOf(server, scene.projectId, branchId)), expected, `snapshot ${name}`)
  }
}
