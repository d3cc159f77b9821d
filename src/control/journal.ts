// Starts and stops that no API call asked for, first written to a file on this machine and then to the control database.
//
// A wake must not wait for that database, nor fail with it. Entries carry the id of their operation, so writing one twice changes
// nothing; a file is removed only when all its entries have arrived.

import { appendFile, mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { readIfThere } from '../lib/durable-file.ts'
import { failpoint } from '../lib/failpoint.ts'
import type { Logger } from '../lib/logger.ts'
import { errorChain, isAppError } from '../model/errors.ts'
import type { BranchId, EndpointId, OperationId, ProjectId } from '../model/ids.ts'
import type { Store } from '../store/database.ts'
import { recordEndpointStarted, recordEndpointSuspended } from '../store/endpoints.ts'
import { insertBackgroundOperation } from '../store/operations.ts'

export type JournalEntry = {
  operationId: OperationId
  projectId: ProjectId
  branchId: BranchId
  endpointId: EndpointId
  action: 'start_compute' | 'suspend_compute'
  error?: string
  /** Milliseconds since 1970. */
  startedAt: number
  durationMs: number
  lastActiveAt?: number
  /** False for what an API chain did: its operation row exists already, only the endpoint's times are wanted. */
  recordOperation: boolean
}

const openFile = 'open.ndjson'

export class Journal {
  readonly #folder: string
  readonly #store: Store
  readonly #cell: string
  readonly #logger: Logger
  #appending: Promise<void> = Promise.resolve()
  #flushing: Promise<void> | undefined
  #wanted = false

  constructor(options: { folder: string; store: Store; cell: string; logger: Logger }) {
    this.#folder = options.folder
    this.#store = options.store
    this.#cell = options.cell
    this.#logger = options.logger
  }

  async open(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    void this.flush()
  }

  append(entry: JournalEntry): void {
    this.#appending = this.#appending
      .then(async () => {
        // Begins a line of its own: whatever a full disk or a crash made of the one before, this one can be read.
        await appendFile(join(this.#folder, openFile), `\n${JSON.stringify(entry)}\n`, { mode: 0o600 })
        await failpoint('journal.appended')
      })
      .catch((error: unknown) => this.#logger.error({ cause: errorChain(error), entry }, 'could not write the journal'))
    void this.flush()
  }

  /** Brings what is in the files into the control database, as far as that answers. Never rejects. */
  async flush(): Promise<void> {
    this.#wanted = true
    this.#flushing ??= this.#drain().finally(() => (this.#flushing = undefined))
    await this.#flushing
  }

  async #drain(): Promise<void> {
    while (this.#wanted) {
      this.#wanted = false
      try {
        await this.#closeFile()
        for (const name of (await readdir(this.#folder)).filter((name) => name.startsWith('closed-')).toSorted()) {
          await this.#deliver(join(this.#folder, name))
        }
      } catch (error) {
        if (!isAppError(error, 'control_database_unavailable')) {
          this.#logger.warn({ cause: errorChain(error) }, 'could not bring the journal into the control database')
        }
        return
      }
    }
  }

  async #closeFile(): Promise<void> {
    await this.#appending
    this.#appending = this.#appending.then(async () => {
      try {
        await rename(
          join(this.#folder, openFile),
          join(
            this.#folder,
            `closed-${String(Date.now()).padStart(15, '0')}-${process.pid}-${crypto.randomUUID().slice(0, 8)}.ndjson`,
          ),
        )
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      }
    })
    await this.#appending
  }

  async #deliver(path: string): Promise<void> {
    const text = (await readIfThere(path)) ?? ''
    for (const line of text.split('\n')) {
      const entry = parseEntry(line)
      if (entry) await this.#record(entry)
    }
    await failpoint('journal.recorded')
    await rm(path, { force: true })
  }

  async #record(entry: JournalEntry): Promise<void> {
    const startedAt = new Date(entry.startedAt)
    const endedAt = new Date(entry.startedAt + entry.durationMs)
    await this.#store.transaction(
      async (sql) => {
        if (entry.recordOperation) {
          await insertBackgroundOperation(sql, this.#cell, {
            id: entry.operationId,
            projectId: entry.projectId,
            branchId: entry.branchId,
            endpointId: entry.endpointId,
            action: entry.action,
            status: entry.error === undefined ? 'finished' : 'error',
            error: entry.error,
            startedAt,
            durationMs: Math.round(entry.durationMs),
          })
        }
        if (entry.error !== undefined) return
        if (entry.action === 'start_compute') await recordEndpointStarted(sql, entry.endpointId, endedAt)
        else {
          const lastActiveAt = entry.lastActiveAt === undefined ? undefined : new Date(entry.lastActiveAt)
          await recordEndpointSuspended(sql, entry.endpointId, endedAt, lastActiveAt)
        }
      },
      { quick: true },
    )
  }
}

/** A line that a crash cut short is not an entry. */
function parseEntry(line: string): JournalEntry | undefined {
  if (line === '') return undefined
  try {
    return JSON.parse(line) as JournalEntry
  } catch {
    return undefined
  }
}
