// Who did what, kept for each organization.
//
// Nobody waits for it: what happened is kept in memory and written a few times a second, all of it in one statement. A crash forgets
// what was not written yet, at most a quarter of a second; an orderly end writes it. While the control database is away, as much as fits is kept.

import type { AuditRecord } from '../model/audit.ts'
import { errorChain, isAppError } from '../model/errors.ts'
import { deleteAuditEntriesBefore, insertAuditRecords, listAuditEntries, trimAuditLog } from '../store/audit-log.ts'
import { organizationFor } from './access.ts'
import type { Control } from './control.ts'
import type { ControlContext } from './context.ts'

const writeEveryMs = 250
const mostWrittenAtOnce = 500
/** Beyond that the oldest are lost: a database that is away for long must not take our memory. */
const mostKept = 10_000
const keptForMs = 90 * 86_400_000
/** What is done without end is known by its newest part. */
const mostPerOrganization = 1_000_000

export class AuditLog {
  readonly #context: () => Pick<ControlContext, 'store' | 'logger'>
  #pending: AuditRecord[] = []
  #timer: NodeJS.Timeout | undefined
  /** One write after another, so that each entry is written once and in its place. */
  #last: Promise<void> = Promise.resolve()
  #lost = 0

  constructor(context: () => Pick<ControlContext, 'store' | 'logger'>) {
    this.#context = context
  }

  record(entry: AuditRecord): void {
    this.#pending.push(entry)
    if (this.#pending.length > mostKept) {
      this.#pending.shift()
      this.#lost++
    }
    this.#arm()
  }

  /** Writes what there is by now. Throws where the control database is away. */
  async flush(): Promise<void> {
    const writing = this.#last.then(() => this.#writeAll())
    this.#last = writing.catch(() => {})
    await writing
  }

  /** For an orderly end. */
  async close(): Promise<void> {
    clearTimeout(this.#timer)
    try {
      await this.flush()
    } catch (error) {
      this.#context().logger.warn(
        { entries: this.#pending.length, cause: errorChain(error) },
        'the end of the audit log could not be written',
      )
    }
  }

  #arm(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      // Away for a moment: the next round tries again.
      void this.flush().catch(() => this.#arm())
    }, writeEveryMs).unref()
  }

  async #writeAll(): Promise<void> {
    const { store, logger } = this.#context()
    while (this.#pending.length > 0) {
      const some = this.#pending.slice(0, mostWrittenAtOnce)
      try {
        await insertAuditRecords(store, some)
      } catch (error) {
        if (isAppError(error, 'control_database_unavailable')) throw error
        // What cannot be stored must not keep all that follows from being stored.
        logger.error({ entries: some.length, cause: errorChain(error) }, 'entries of the audit log were refused')
      }
      const written = new Set(some)
      this.#pending = this.#pending.filter((entry) => !written.has(entry))
    }
    if (this.#lost === 0) return
    logger.warn({ entries: this.#lost }, 'entries of the audit log were lost while the control database was away')
    this.#lost = 0
  }
}

export function auditControl(control: ControlContext): Control['audit'] {
  return {
    record: (entry) => control.audit.record(entry),
    async list(caller, orgId, { limit, before }) {
      const organization = await organizationFor(control.store, caller, orgId, 'organization:admin')
      // What has just been done is there to be read.
      await control.audit.flush()
      const entries = await listAuditEntries(control.store, organization.id, { limit, before })
      return { entries, next: entries.length === limit ? entries.at(-1)?.id : undefined }
    },
  }
}

/** Something that an operator did at the machine itself. */
export function recordOperatorAction(
  control: ControlContext,
  action: Pick<AuditRecord, 'orgId' | 'operationId' | 'resources'>,
): void {
  control.audit.record({
    ...action,
    at: new Date(),
    actor: { kind: 'operator' },
    status: 200,
    requestId: crypto.randomUUID(),
    peer: '',
  })
}

/** Safe to run at any time, any number of times. */
export async function forgetOldAuditEntries(
  { store }: Pick<ControlContext, 'store'>,
  most = mostPerOrganization,
): Promise<{ deleted: number }> {
  const before = new Date(Date.now() - keptForMs)
  for (let deleted = await trimAuditLog(store, most); ;) {
    const some = await deleteAuditEntriesBefore(store, before)
    deleted += some.deleted
    if (!some.more) return { deleted }
  }
}
