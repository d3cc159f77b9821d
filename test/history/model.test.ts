// A tree of branches under random steps, beside a model that knows what every branch holds at every point between two commits: writes of
// all kinds, branches of the present and the past, snapshots, restores, suspensions, and crashes of pgrove and of Postgres, also in the
// middle of an operation. After each step some branch, and in the end every branch and every snapshot, has to be as in the model.
//
// A failure prints its seed and its steps. The seed is the same for everybody, so that a red run is about the change at hand. By hand, with
// any other (`random` for one nobody has tried):
//   PGROVE_TEST_STEPS=5000 PGROVE_TEST_SEED=random bin/node test/support/run.ts test/history/model.test.ts

import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { test } from 'node:test'
import { obstacleTo } from '../storage/file-systems.ts'
import { assertNothingLeft } from '../support/leftovers.ts'
import { connect } from '../support/postgres.ts'
import { Random } from './random.ts'
import { World, type ModelBranch, type ModelSnapshot } from './world.ts'

/** On each storage. */
const steps = Number(process.env['PGROVE_TEST_STEPS'] ?? 100)
const wanted = process.env['PGROVE_TEST_SEED'] ?? '1'
const seed = wanted === 'random' ? randomInt(1_000_000) : Number(wanted)
const storages = obstacleTo('xfs') === undefined ? ['copy', 'pool'] : ['copy']

const mostBranches = 8
const mostSnapshots = 4

/** What a step did, in words. */
type Step = (world: World) => Promise<string>

const stepKinds: readonly (readonly [weight: number, step: Step])[] = [
  [42, write],
  [3, createDatabase],
  [2, dropDatabase],
  [4, branchOfHead],
  [3, branchWhileWritten],
  [2, branchOfOpenTransaction],
  [8, branchOfPast],
  [4, snapshotOfHead],
  [4, snapshotOfPast],
  [4, preview],
  [4, restoreInPlace],
  [4, finalize],
  [4, restoreToItsPast],
  [5, restoreFromAnother],
  [5, suspend],
  [4, killPostmaster],
  [1, killPgrove],
]

for (const storage of storages) {
  test(`${steps} random steps on ${storage}, seed ${seed}`, { timeout: 24 * 3_600_000 }, async () => {
    const said: string[] = []
    const say = (text: string): void => void said.push(text)
    const random = new Random(seed)
    await using world = await World.open({ PGROVE_STORAGE: storage, PGROVE_WARM_POOL: '0,0' }, random, say)
    try {
      for (let number = 1; number <= steps; number++) {
        const step = random.weighted(stepKinds)
        say(`${number} ${step.name}`)
        say(`  ${await step(world).catch(skipped)}`)
        const branch = some(world.anyBranch())
        say(`  check ${branch.name}`)
        await world.check(branch)
        await makeRoom(world)
      }
      for (const branch of world.branches.values()) {
        say(`check ${branch.name} in the end`)
        await world.check(branch)
        await world.checkSound(branch)
        await world.keepFewAwake()
      }
      for (const snapshot of world.snapshots.values()) {
        say(`check ${snapshot.name} in the end`)
        const branch = await world.preview(snapshot)
        if (branch) await world.check(branch)
        if (branch) await world.deleteBranch(branch)
      }
      await assertNothingLeft(world.bench.server)
    } catch (error) {
      throw new Error(`with PGROVE_TEST_SEED=${seed} on ${storage}, after\n${said.join('\n')}`, { cause: error })
    }
  })
}

class NothingToDo extends Error {}

function some<T>(value: T | undefined): T {
  if (value === undefined) throw new NothingToDo()
  return value
}

function skipped(error: unknown): string {
  if (error instanceof NothingToDo) return 'nothing to do it with'
  throw error
}

const anySnapshot = ({ random, snapshots }: World): ModelSnapshot => some(random.pick([...snapshots.values()]))

async function write(world: World): Promise<string> {
  return await world.write(some(world.anyBranch()))
}

async function createDatabase(world: World): Promise<string> {
  return await world.createDatabase(some(world.anyBranch(({ state }) => state.size < 3)))
}

async function dropDatabase(world: World): Promise<string> {
  return await world.dropDatabase(some(world.anyBranch(({ state }) => state.size > 1)))
}

async function branchOfHead(world: World): Promise<string> {
  const parent = some(world.anyBranch())
  const { state } = parent
  const child = await world.createBranch(parent, undefined, () => state)
  return `${child?.name ?? 'no branch'} of ${parent.name}`
}

async function branchOfPast(world: World): Promise<string> {
  const { branch: parent, point, asked } = some(world.anyPast())
  const child = await world.createBranch(parent, asked, () => point.state)
  return `${child?.name ?? 'no branch'} of ${parent.name} at ${JSON.stringify(asked)}`
}

/** It has one of the states that its parent had since the call. */
async function branchWhileWritten(world: World): Promise<string> {
  const parent = some(world.anyBranch())
  const states = [parent.state]
  const said: string[] = []
  const child = await world.createBranch(
    parent,
    undefined,
    () => parent.state,
    async () => {
      for (let count = 4; count > 0; count--) {
        said.push(await world.write(parent))
        states.push(parent.state)
      }
    },
  )
  if (child) {
    const state = await world.stateOf(child, states)
    if (state) child.state = structuredClone(state)
    else await world.check(child)
  }
  return `${child?.name ?? 'no branch'} of ${parent.name} during\n    ${said.join('\n    ')}`
}

async function branchOfOpenTransaction(world: World): Promise<string> {
  const parent = some(world.anyBranch())
  const { state } = parent
  const commits = world.random.chance(0.5)
  const name = `t${world.fresh()}`
  let child: ModelBranch | undefined
  {
    await using session = await connect(await world.uri(parent))
    await session.query(`begin; create table ${name} (id integer primary key, n integer, note text)`)
    await session.query(`insert into ${name} select g, g, md5('x') from generate_series(1, 500) g`)
    child = await world.createBranch(
      parent,
      undefined,
      () => state,
      async () => {},
    )
    await session.query(`drop table ${name}`)
    await session.query(commits ? 'commit' : 'rollback')
  }
  return `${child?.name ?? 'no branch'} of ${parent.name}, in which ${name} was being made`
}

async function snapshotOfHead(world: World): Promise<string> {
  const branch = some(world.anyBranch(({ root }) => root))
  return `${await world.createSnapshot(branch, undefined, branch.state)} of ${branch.name}`
}

async function snapshotOfPast(world: World): Promise<string> {
  const { branch, point, asked } = some(world.anyPast())
  if (!branch.root) throw new NothingToDo()
  return `${await world.createSnapshot(branch, asked, point.state)} of ${branch.name} at ${JSON.stringify(asked)}`
}

async function preview(world: World): Promise<string> {
  const snapshot = anySnapshot(world)
  const target = world.random.chance(0.5) ? world.anyBranch() : undefined
  const branch = await world.preview(snapshot, target?.id)
  return `${branch?.name ?? 'no branch'} of ${snapshot.name} for ${target?.name ?? 'its source'}`
}

async function restoreInPlace(world: World): Promise<string> {
  const snapshot = anySnapshot(world)
  const source = world.branches.get(snapshot.sourceId)
  const target = world.random.chance(0.5) ? some(source) : some(world.anyBranch())
  const was = target.name
  const branch = await world.restoreInPlace(snapshot, target)
  return `${branch?.id ?? 'no branch'} of ${snapshot.name} is ${was}, which is ${target.name} now`
}

async function finalize(world: World): Promise<string> {
  const restored = some(
    world.random.pick([...world.branches.values()].filter(({ finalizes }) => finalizes !== undefined)),
  )
  const target = some(world.branches.get(restored.finalizes ?? ''))
  const was = restored.name
  await world.finalize(restored, target)
  return `${was} is ${restored.name} now, which is ${target.name}`
}

async function restoreToItsPast(world: World): Promise<string> {
  const { branch, point, asked } = some(world.anyPast())
  if (branch.finalizes !== undefined) throw new NothingToDo()
  await world.restoreBranch(branch, branch, { asked, state: point.state }, true)
  return `${branch.name} at ${JSON.stringify(asked)}`
}

async function restoreFromAnother(world: World): Promise<string> {
  const { branch: source, point, asked } = some(world.anyPast())
  const branch = some(world.anyBranch(({ id, finalizes }) => id !== source.id && finalizes === undefined))
  const preserve = (await world.hasChildren(branch)) || world.random.chance(0.3)
  const past = world.random.chance(0.5) ? { asked, state: point.state } : undefined
  await world.restoreBranch(branch, source, past, preserve)
  return `${branch.name} from ${source.name} ${past ? `at ${JSON.stringify(asked)}` : ''} ${preserve ? 'preserved' : ''}`
}

async function suspend(world: World): Promise<string> {
  const branch = some(world.anyBranch())
  await world.suspend(branch)
  return branch.name
}

async function killPostmaster(world: World): Promise<string> {
  const branch = some(world.anyBranch())
  await world.killPostmaster(branch)
  return branch.name
}

async function killPgrove(world: World): Promise<string> {
  await world.killPgrove()
  return 'and started again'
}

async function makeRoom(world: World): Promise<void> {
  while (world.branches.size > mostBranches) {
    const branch = world.random.pick(await world.deletable())
    assert.ok(branch, 'some branch can be deleted')
    await world.deleteBranch(branch)
  }
  while (world.snapshots.size > mostSnapshots) await world.deleteSnapshot(anySnapshot(world))
  await world.keepFewAwake()
}
