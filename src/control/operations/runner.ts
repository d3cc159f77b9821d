// Executes chains: per project one after another, their operations in order, from the rows alone.
//
// A step that fails is tried again a few times while the operation stays `running` for the outside; then what was done is undone
// backwards, and the operation ends as `error`. A crash anywhere leads back to the same loop.

import { setTimeout as delay } from 'node:timers/promises'
import { failpoint } from '../../lib/failpoint.ts'
import { errorChain, isAppError, type AppError } from '../../model/errors.ts'
import type { ProjectId } from '../../model/ids.ts'
import type { Operation } from '../../model/operation.ts'
import {
  countOperationFailure,
  listChainOperations,
  nextChain,
  passOn,
  projectsWithUnfinishedChains,
  setChainState,
  setOperationEnded,
  setOperationRunning,
  type Chain,
} from '../../store/operations.ts'
import type { ControlContext } from '../context.ts'
import type { ChainDefinition, StepContext } from './chain.ts'

const attempts = 3
const firstPauseMs = 200
const undoAttempts = 6

export class Runner {
  readonly #context: () => ControlContext
  readonly #definitions: ReadonlyMap<string, ChainDefinition>
  /** Projects being worked on; true: look once more before leaving. */
  readonly #working = new Map<ProjectId, boolean>()
  readonly #waiting = new Map<string, Set<() => void>>()
  #stopping = false

  constructor(context: () => ControlContext, definitions: readonly ChainDefinition[]) {
    this.#context = context
    this.#definitions = new Map(definitions.map((definition) => [definition.kind, definition]))
  }

  /** There may be something to do for this project. Carries nothing else: what it is stands in the rows. */
  nudge(projectId: ProjectId): void {
    if (this.#working.has(projectId)) {
      this.#working.set(projectId, true)
      return
    }
    if (this.#stopping) return
    this.#working.set(projectId, false)
    void this.#work(projectId)
  }

  async nudgeAll(): Promise<void> {
    const { store, cell } = this.#context()
    for (const projectId of await projectsWithUnfinishedChains(store, cell)) this.nudge(projectId)
  }

  /** True when nothing is at work on the project any more, false after that many milliseconds. */
  async whenQuiet(projectId: ProjectId, timeoutMs: number): Promise<boolean> {
    if (!this.#working.has(projectId)) {
      // Rows that nobody works on: another process wrote them, or the nudge is still to come.
      this.nudge(projectId)
    }
    if (timeoutMs <= 0) return false
    return await new Promise((resolve) => {
      const waiting = this.#waiting.get(projectId) ?? new Set()
      this.#waiting.set(projectId, waiting)
      const done = (): void => {
        clearTimeout(timer)
        resolve(true)
      }
      const timer = setTimeout(() => {
        waiting.delete(done)
        resolve(false)
      }, timeoutMs)
      waiting.add(done)
    })
  }

  isWorking(projectId: string): boolean {
    return this.#working.has(projectId as ProjectId)
  }

  /** No new operation is begun; those at work are waited for. */
  async stop(): Promise<void> {
    this.#stopping = true
    while (this.#working.size > 0) {
      const [projectId] = this.#working.keys()
      if (projectId === undefined || !(await this.whenQuiet(projectId, 60_000))) return
    }
  }

  async #work(projectId: ProjectId): Promise<void> {
    const { store, cell, logger } = this.#context()
    try {
      do {
        this.#working.set(projectId, false)
        for (;;) {
          const chain = this.#stopping ? undefined : await nextChain(store, cell, projectId)
          if (!chain) break
          await this.#runChain(chain)
        }
      } while (this.#working.get(projectId) === true && !this.#stopping)
    } catch (error) {
      // The control database is away, most likely: the rows are still there, and the next look goes on from them.
      logger.warn({ project: projectId, cause: errorChain(error) }, 'operations paused')
      setTimeout(() => this.nudge(projectId), 1000).unref()
    } finally {
      this.#working.delete(projectId)
      const waiting = this.#waiting.get(projectId)
      this.#waiting.delete(projectId)
      for (const done of waiting ?? []) done()
    }
  }

  async #runChain(chain: Chain): Promise<void> {
    const { store } = this.#context()
    const definition = this.#definitions.get(chain.kind)
    if (!definition) throw new Error(`no chain is called ${chain.kind}`)
    const operations = await listChainOperations(store, chain.id)
    if (chain.state === 'running') {
      const todo = operations.filter(({ status }) => status === 'scheduling' || status === 'running')
      for (const [index, operation] of todo.entries()) {
        if (this.#stopping && operation.position > 0) return
        const failure = await this.#runOperation(definition, chain, operation, todo[index + 1])
        if (failure === undefined) continue
        await this.#fail(chain, operations, operation, failure)
        chain.state = 'undoing'
        break
      }
    }
    if (chain.state === 'undoing') await this.#undo(definition, chain, operations)
    await definition.ended?.(this.#context(), chain)
  }

  /** Undefined on success; otherwise why it was given up. */
  async #runOperation(
    definition: ChainDefinition,
    chain: Chain,
    operation: Operation,
    next: Operation | undefined,
  ): Promise<unknown> {
    const { store, logger } = this.#context()
    const step = definition.steps[operation.action]
    if (!step) throw new Error(`chain ${chain.kind} has no step ${operation.action}`)
    const context = this.#stepContext(chain, operation)
    if (operation.status !== 'running') await setOperationRunning(store, operation.id)
    operation.status = 'running'
    operation.startedAt ??= new Date()
    for (let failures = operation.failuresCount; ;) {
      try {
        await failpoint(`${chain.kind}.${operation.action}.before`)
        await step.run(context)
        await failpoint(`${chain.kind}.${operation.action}.after`)
        break
      } catch (error) {
        if (isAppError(error, 'control_database_unavailable')) throw error
        failures += 1
        context.logger.warn({ failures, cause: errorChain(error) }, 'operation failed')
        if (failures >= attempts || !mayHelpToTryAgain(error)) return error
        const pauseMs = firstPauseMs * 4 ** (failures - 1)
        await countOperationFailure(store, operation.id, new Date(Date.now() + pauseMs))
        await delay(pauseMs)
      }
    }
    // Losing these commits means running idempotent steps once more; nothing else rests on them.
    if (next) {
      await passOn(store, operation.id, next.id)
      next.status = 'running'
      next.startedAt = new Date()
    } else {
      await store.transaction(
        async (sql) => {
          await setOperationEnded(sql, operation.id, 'finished')
          await definition.finished?.(this.#context(), chain, sql)
          await setChainState(sql, chain.id, 'finished')
        },
        { quick: true },
      )
    }
    operation.status = 'finished'
    await failpoint(`${chain.kind}.${operation.action}.recorded`)
    logger.info(
      { operation: operation.id, action: operation.action, chain: chain.kind, project: chain.projectId },
      'operation finished',
    )
    return undefined
  }

  async #fail(chain: Chain, operations: readonly Operation[], operation: Operation, error: unknown): Promise<void> {
    const { store, logger } = this.#context()
    logger.error(
      {
        operation: operation.id,
        action: operation.action,
        chain: chain.kind,
        project: chain.projectId,
        cause: errorChain(error),
      },
      'operation given up',
    )
    // The message of our own errors may be shown; of anything else nothing is said.
    const message = isAppError(error) ? error.message : 'internal error'
    await store.transaction(async (sql) => {
      await setOperationEnded(sql, operation.id, 'error', message)
      for (const later of operations)
        if (later.position > operation.position) await setOperationEnded(sql, later.id, 'cancelled')
      await setChainState(sql, chain.id, 'undoing')
    })
  }

  async #undo(definition: ChainDefinition, chain: Chain, operations: readonly Operation[]): Promise<void> {
    const { store, logger } = this.#context()
    for (const operation of operations.toReversed()) {
      if (operation.status === 'scheduling' || operation.status === 'cancelled') continue
      for (let tries = 1; ; tries++) {
        try {
          await failpoint(`${chain.kind}.${operation.action}.undo`)
          await definition.steps[operation.action]?.undo(this.#stepContext(chain, operation))
          break
        } catch (error) {
          if (isAppError(error, 'control_database_unavailable')) throw error
          logger.error(
            { operation: operation.id, action: operation.action, tries, cause: errorChain(error) },
            'could not undo an operation',
          )
          if (tries >= undoAttempts) break
          await delay(firstPauseMs * 2 ** tries)
        }
      }
    }
    await store.transaction(async (sql) => {
      await definition.undone?.(this.#context(), chain, sql)
      await setChainState(sql, chain.id, 'failed')
    })
  }

  #stepContext(chain: Chain, operation: Operation): StepContext {
    const control = this.#context()
    const logger = control.logger.child({
      project: chain.projectId,
      chain: chain.kind,
      action: operation.action,
      operation: operation.id,
    })
    return { control, chain, operation, logger }
  }
}

/** What the caller did wrong, and a full disk, will be the same in a second. */
function mayHelpToTryAgain(error: unknown): boolean {
  if (!isAppError(error)) return true
  const { code, isCallersFault }: AppError = error
  return !isCallersFault && code !== 'disk_full' && code !== 'postgres_missing' && code !== 'config_invalid'
}
