// A tree of branches on a running pgrove beside a model of it: every step is done to both.

import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { CrashBench } from '../support/crash-bench.ts'
import { eventually } from '../support/eventually.ts'
import { call, createProject, postmasterOf, settled, timelineOf, uriOf } from '../support/faults.ts'
import { changed, connect } from '../support/postgres.ts'
import type { Answer } from '../support/server.ts'
import {
  assertHolds,
  assertSound,
  firstDatabase,
  holds,
  initialState,
  newDatabase,
  randomStatement,
  type State,
} from './model.ts'
import type { Random } from './random.ts'

/** Between two commits: what is made of it has exactly the first. */
export type Point = { lsn: string; time: string; state: State }

export type ModelBranch = {
  id: string
  name: string
  endpointId: string
  state: State
  /** Of its present timeline. */
  points: Point[]
  /** Snapshots are of roots only. */
  root: boolean
  isDefault: boolean
  /** May still take the place of this one. */
  finalizes: string | undefined
}

export type ModelSnapshot = { id: string; name: string; sourceId: string; state: State }

type ApiBranch = {
  id: string
  name: string
  parent_id?: string
  default: boolean
  current_state: string
  restored_from?: string
  restore_status?: string
}

const mostAwake = 3
const mostPoints = 40
const longestBeforeKillMs = 900

export class World implements AsyncDisposable {
  readonly branches = new Map<string, ModelBranch>()
  readonly snapshots = new Map<string, ModelSnapshot>()
  readonly random: Random
  readonly bench: CrashBench
  readonly projectId: string
  readonly #say: (text: string) => void
  /** Branches that may have a compute, the longest unused first. */
  #awake: string[] = []
  #numbers = 0

  private constructor(bench: CrashBench, projectId: string, random: Random, say: (text: string) => void) {
    this.bench = bench
    this.projectId = projectId
    this.random = random
    this.#say = say
  }

  static async open(env: Record<string, string>, random: Random, say: (text: string) => void): Promise<World> {
    const bench = await CrashBench.open(env)
    try {
      const { projectId } = await createProject(bench.server, 'model')
      const world = new World(bench, projectId, random, say)
      const [branch] = await world.#apiBranches()
      if (branch) world.branches.set(branch.id, world.#newBranch(branch, initialState()))
      await world.#refresh()
      return world
    } catch (error) {
      await bench[Symbol.asyncDispose]()
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.bench[Symbol.asyncDispose]()
  }

  fresh = (): number => ++this.#numbers

  branchPath = ({ id }: ModelBranch): string => `/projects/${this.projectId}/branches/${id}`
  snapshotPath = ({ id }: ModelSnapshot): string => `/projects/${this.projectId}/snapshots/${id}`

  #newBranch({ id, name }: ApiBranch, state: State): ModelBranch {
    const copy = structuredClone(state)
    return { id, name, endpointId: '', state: copy, points: [], root: true, isDefault: false, finalizes: undefined }
  }

  /** One of those that have a compute now, most of the time. */
  anyBranch(wanted: (branch: ModelBranch) => boolean = () => true): ModelBranch | undefined {
    const all = [...this.branches.values()].filter(wanted)
    const awake = all.filter(({ id }) => this.#awake.includes(id))
    return this.random.pick(awake.length > 0 && this.random.chance(0.7) ? awake : all)
  }

  /** A branch with a point of its past to go back to. */
  anyPast(): { branch: ModelBranch; point: Point; asked: { lsn: string } | { timestamp: string } } | undefined {
    const branch = this.anyBranch(({ points }) => points.length > 0)
    const point = branch && this.random.pick(branch.points)
    if (!branch || !point) return undefined
    return { branch, point, asked: this.random.chance(0.5) ? { lsn: point.lsn } : { timestamp: point.time } }
  }

  async uri(branch: ModelBranch): Promise<string> {
    this.#awake = [...this.#awake.filter((id) => id !== branch.id), branch.id]
    return await uriOf(this.bench.server, this.projectId, branch.id)
  }

  /** Computes of branches that were not used for the longest time go. */
  async keepFewAwake(): Promise<void> {
    while (this.#awake.length > mostAwake) {
      const branch = this.branches.get(this.#awake[0] ?? '')
      if (branch) await this.suspend(branch)
      else this.#awake.shift()
    }
  }

  async suspend(branch: ModelBranch): Promise<void> {
    this.#awake = this.#awake.filter((id) => id !== branch.id)
    await call(this.bench.server, 'POST', `/projects/${this.projectId}/endpoints/${branch.endpointId}/suspend`)
    await settled(this.bench.server)
  }

  // Writes

  /** One transaction, and the point behind it. */
  async write(branch: ModelBranch): Promise<string> {
    const { random } = this
    const name = random.pick([...branch.state.keys()]) ?? firstDatabase
    await using session = await connect(changed(await this.uri(branch), { database: name }))
    const draft = structuredClone(branch.state.get(name) ?? newDatabase())
    const said: string[] = []
    const run = async (database: typeof draft, log: boolean): Promise<void> => {
      const statement = randomStatement(random, database, this.fresh)
      said.push(log ? statement.sql.slice(0, 60) : `(${statement.sql.slice(0, 60)})`)
      const result = (await session.client.query(statement.sql)) as unknown
      const last = (Array.isArray(result) ? result.at(-1) : result) as { rows: Record<string, unknown>[] }
      statement.apply(last.rows)
    }
    await session.query('begin')
    for (let count = 1 + random.below(4); count > 0; count--) {
      if (random.chance(0.1)) {
        // Of a subtransaction that is rolled back nothing stays, but what sequences gave out.
        const given = structuredClone(draft)
        await session.query('savepoint away')
        await run(given, false)
        await session.query('rollback to savepoint away')
        for (const [sequence, value] of given.sequences) {
          if (draft.sequences.has(sequence)) draft.sequences.set(sequence, value)
        }
      }
      await run(draft, true)
    }
    const sequencesOnly = [...draft.sequences].some(
      ([key, value]) => branch.state.get(name)?.sequences.get(key) !== value,
    )
    if (!sequencesOnly && random.chance(0.12)) {
      await session.query('rollback')
      return `${branch.name}/${name}: rolled back ${said.join('; ')}`
    }
    await session.query('commit')
    branch.state = new Map(branch.state).set(name, draft)
    await this.#notePoint(branch, session)
    return `${branch.name}/${name}: ${said.join('; ')}`
  }

  async createDatabase(branch: ModelBranch): Promise<string> {
    const name = `d${this.fresh()}`
    const strategy = this.random.pick(['wal_log', 'file_copy'])
    await using session = await connect(await this.uri(branch))
    await session.query(`create database ${name} strategy ${strategy}`)
    branch.state = new Map(branch.state).set(name, newDatabase())
    await this.#notePoint(branch, session)
    return `${branch.name}: create database ${name} strategy ${strategy}`
  }

  async dropDatabase(branch: ModelBranch): Promise<string> {
    const name = this.random.pick([...branch.state.keys()].filter((each) => each !== firstDatabase))
    if (name === undefined) return `${branch.name}: no database to drop`
    await using session = await connect(await this.uri(branch))
    await session.query(`drop database ${name} with (force)`)
    branch.state = new Map(branch.state)
    branch.state.delete(name)
    await this.#notePoint(branch, session)
    return `${branch.name}: drop database ${name}`
  }

  async #notePoint(branch: ModelBranch, session: Awaited<ReturnType<typeof connect>>): Promise<void> {
    const [place] = await session.query<{ lsn: string; time: string }>(
      `select pg_current_wal_lsn()::text as lsn, to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as time`,
    )
    assert.ok(place)
    branch.points.push({ ...place, state: branch.state })
    if (branch.points.length > mostPoints) branch.points.splice(this.random.below(mostPoints), 1)
  }

  // Crashes

  async killPgrove(): Promise<void> {
    await this.bench.server.kill()
    await this.bench.restart()
    await settled(this.bench.server)
  }

  async killPostmaster(branch: ModelBranch): Promise<void> {
    await connect(await this.uri(branch)).then((session) => session[Symbol.asyncDispose]())
    const pid = await postmasterOf(this.bench.home, branch.id)
    process.kill(pid, 'SIGKILL')
    // Its backends notice on their own, and hold the shared memory until then.
    await eventually('the postmaster is gone', async () => {
      try {
        process.kill(pid, 0)
        return false
      } catch {
        return true
      }
    })
  }

  // Calls

  /**
   * Makes a call and waits for what it began, or kills pgrove on the way: then it happened or did not, as `happened` finds, and where it
   * was acknowledged it did.
   */
  async act(
    method: string,
    path: string,
    body: object | undefined,
    happened: () => Promise<boolean>,
    options: { mayCrash: boolean } = { mayCrash: true },
  ): Promise<boolean> {
    const { bench } = this
    if (!options.mayCrash || !this.random.chance(0.1)) {
      await call(bench.server, method, path, body)
      await settled(bench.server)
      assert.ok(await happened(), 'what was asked for happened')
      return true
    }
    const ms = this.random.below(longestBeforeKillMs)
    this.#say(`  killed ${ms} ms after ${method} ${path} ${JSON.stringify(body)}`)
    const answered: Promise<Answer | undefined> = call(bench.server, method, path, body).catch((error: unknown) => {
      if (error instanceof assert.AssertionError) throw error
      return undefined
    })
    answered.catch(() => {})
    await delay(ms)
    await bench.server.kill()
    const answer = await answered
    await bench.restart()
    await settled(bench.server)
    const did = await happened()
    this.#say(did ? '  it happened' : '  it did not happen')
    assert.ok(did || answer === undefined, 'what was acknowledged happened')
    return did
  }

  async createBranch(
    parent: ModelBranch,
    asked: { lsn: string } | { timestamp: string } | undefined,
    state: () => State,
    during?: () => Promise<void>,
  ): Promise<ModelBranch | undefined> {
    const name = `b${this.fresh()}`
    const at = asked && ('lsn' in asked ? { parent_lsn: asked.lsn } : { parent_timestamp: asked.timestamp })
    const body = { branch: { name, parent_id: parent.id, ...at }, endpoints: [{ type: 'read_write' }] }
    const find = async (): Promise<boolean> => (await this.#apiBranches()).some((branch) => branch.name === name)
    const path = `/projects/${this.projectId}/branches`
    const [did] = await Promise.all([this.act('POST', path, body, find, { mayCrash: !during }), during?.()])
    return did ? await this.#adopt((branch) => branch.name === name, state()) : undefined
  }

  async createSnapshot(
    branch: ModelBranch,
    asked: { lsn: string } | { timestamp: string } | undefined,
    state: State,
  ): Promise<string> {
    const name = `snapshot${this.fresh()}`
    const find = async (): Promise<boolean> => (await this.#apiSnapshots()).some((snapshot) => snapshot.name === name)
    const body = { name, ...asked }
    if (!(await this.act('POST', `${this.branchPath(branch)}/snapshot`, body, find))) return name
    const made = (await this.#apiSnapshots()).find((snapshot) => snapshot.name === name)
    if (made) this.snapshots.set(made.id, { id: made.id, name, sourceId: branch.id, state: structuredClone(state) })
    return name
  }

  async deleteSnapshot(snapshot: ModelSnapshot): Promise<void> {
    const gone = async (): Promise<boolean> => !(await this.#apiSnapshots()).some(({ id }) => id === snapshot.id)
    if (await this.act('DELETE', this.snapshotPath(snapshot), undefined, gone)) this.snapshots.delete(snapshot.id)
  }

  /** Into a branch of its own. */
  async preview(snapshot: ModelSnapshot, targetId?: string): Promise<ModelBranch | undefined> {
    const name = `preview${this.fresh()}`
    const find = async (): Promise<boolean> => (await this.#apiBranches()).some((branch) => branch.name === name)
    const body = { name, ...(targetId === undefined ? {} : { target_branch_id: targetId }) }
    if (!(await this.act('POST', `${this.snapshotPath(snapshot)}/restore`, body, find))) return undefined
    const branch = await this.#adopt((each) => each.name === name, snapshot.state)
    const finalizes = targetId ?? snapshot.sourceId
    if (this.branches.has(finalizes)) branch.finalizes = finalizes
    return branch
  }

  async restoreInPlace(snapshot: ModelSnapshot, target: ModelBranch): Promise<ModelBranch | undefined> {
    const isNew = (branch: ApiBranch): boolean => !this.branches.has(branch.id) && branch.restored_from === snapshot.id
    const find = async (): Promise<boolean> => {
      const made = (await this.#apiBranches()).find(isNew)
      if (made) assert.equal(made.restore_status, 'finalized')
      return made !== undefined
    }
    const body = { finalize_restore: true, target_branch_id: target.id }
    const before = { ...target }
    if (!(await this.act('POST', `${this.snapshotPath(snapshot)}/restore`, body, find))) return undefined
    const restored = await this.#adopt(isNew, snapshot.state)
    this.#assertTookPlace(restored, before)
    return restored
  }

  async finalize(restored: ModelBranch, target: ModelBranch): Promise<void> {
    const statusOf = async (): Promise<string | undefined> =>
      (await this.#apiBranches()).find(({ id }) => id === restored.id)?.restore_status
    const happened = async (): Promise<boolean> => (await statusOf()) === 'finalized'
    const before = { ...target }
    if (!(await this.act('POST', `${this.branchPath(restored)}/finalize_restore`, {}, happened))) return
    restored.finalizes = undefined
    await this.#refresh()
    this.#assertTookPlace(restored, before)
  }

  /** `target` as it was before. */
  #assertTookPlace(restored: ModelBranch, target: { endpointId: string; name: string }): void {
    assert.deepEqual([restored.name, restored.endpointId], [target.name, target.endpointId], 'name and endpoint moved')
  }

  async restoreBranch(
    branch: ModelBranch,
    source: ModelBranch,
    point: { asked: { lsn: string } | { timestamp: string }; state: State } | undefined,
    preserve: boolean,
  ): Promise<void> {
    const timeline = await timelineOf(this.bench.home, branch.id)
    const name = `kept${this.fresh()}`
    const body = {
      source_branch_id: source.id,
      ...(preserve ? { preserve_under_name: name } : {}),
      ...(point &&
        ('lsn' in point.asked ? { source_lsn: point.asked.lsn } : { source_timestamp: point.asked.timestamp })),
    }
    const state = structuredClone(point?.state ?? source.state)
    const happened = async (): Promise<boolean> => (await timelineOf(this.bench.home, branch.id)) !== timeline
    if (!(await this.act('POST', `${this.branchPath(branch)}/restore`, body, happened))) return
    const [before, points] = [branch.state, branch.points]
    branch.state = state
    branch.points = []
    if (!preserve) return
    const kept = await this.#adopt((each) => each.name === name, before)
    kept.points = points
  }

  async deleteBranch(branch: ModelBranch): Promise<void> {
    const gone = async (): Promise<boolean> => !(await this.#apiBranches()).some(({ id }) => id === branch.id)
    if (!(await this.act('DELETE', `${this.branchPath(branch)}?hard_delete=true`, undefined, gone))) return
    this.branches.delete(branch.id)
    this.#awake = this.#awake.filter((id) => id !== branch.id)
    for (const each of this.branches.values()) if (each.finalizes === branch.id) each.finalizes = undefined
  }

  /** Has no children, is not the default, and nothing restored waits to take its place. */
  async deletable(): Promise<ModelBranch[]> {
    const parents = new Set((await this.#apiBranches()).map((branch) => branch.parent_id))
    return [...this.branches.values()].filter(({ id, isDefault }) => !parents.has(id) && !isDefault)
  }

  async hasChildren(branch: ModelBranch): Promise<boolean> {
    return (await this.#apiBranches()).some(({ parent_id: parentId }) => parentId === branch.id)
  }

  /** Which of the states a branch has, that was made while its parent was written. */
  async stateOf(branch: ModelBranch, states: readonly State[]): Promise<State | undefined> {
    const uri = await this.uri(branch)
    for (const state of states) if (await holds(uri, state)) return state
    return undefined
  }

  async check(branch: ModelBranch): Promise<void> {
    await assertHolds(await this.uri(branch), branch.state, `branch ${branch.name} (${branch.id})`)
  }

  async checkSound(branch: ModelBranch): Promise<void> {
    await assertSound(await this.uri(branch), branch.state)
  }

  /** What the API says there is, against the model; endpoints are where the API says they are, and a branch without one gets one. */
  async #refresh(): Promise<void> {
    const { server } = this.bench
    const known = await this.#apiBranches()
    assert.deepEqual(
      known.map(({ id }) => id).toSorted(),
      [...this.branches.keys()].toSorted(),
      'the branches there are',
    )
    const { body } = await call(server, 'GET', `/projects/${this.projectId}/endpoints`)
    const endpoints = new Map(
      (body['endpoints'] as { id: string; branch_id: string }[]).map((endpoint) => [endpoint.branch_id, endpoint.id]),
    )
    for (const { id, name, parent_id: parentId, default: isDefault, current_state: state } of known) {
      assert.equal(state, 'ready', `branch ${name}`)
      const branch = this.branches.get(id)
      if (!branch) continue
      Object.assign(branch, { name, root: parentId === undefined, isDefault })
      const endpoint = endpoints.get(id)
      if (endpoint !== undefined) branch.endpointId = endpoint
      else {
        const wanted = { endpoint: { branch_id: id, type: 'read_write' } }
        const made = await call(server, 'POST', `/projects/${this.projectId}/endpoints`, wanted)
        await settled(server)
        branch.endpointId = (made.body['endpoint'] as { id: string }).id
        this.#awake.push(id)
      }
    }
  }

  async #adopt(which: (branch: ApiBranch) => boolean, state: State): Promise<ModelBranch> {
    const found = (await this.#apiBranches()).find((branch) => !this.branches.has(branch.id) && which(branch))
    assert.ok(found, 'the new branch is there')
    const branch = this.#newBranch(found, state)
    this.branches.set(branch.id, branch)
    this.#awake.push(branch.id)
    await this.#refresh()
    return branch
  }

  async #apiBranches(): Promise<ApiBranch[]> {
    const { body } = await call(this.bench.server, 'GET', `/projects/${this.projectId}/branches?limit=100`)
    return body['branches'] as ApiBranch[]
  }

  async #apiSnapshots(): Promise<{ id: string; name: string }[]> {
    const { body } = await call(this.bench.server, 'GET', `/projects/${this.projectId}/snapshots`)
    return body['snapshots'] as { id: string; name: string }[]
  }
}
