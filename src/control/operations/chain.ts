// A chain is a recipe: what each of its operations does and how that is undone.
//
// Every step may run twice, and may find that an earlier run of itself did half of it; every undo may find nothing to undo. That is
// all there is to crash recovery: the runner goes on from the rows.

import type { Logger } from '../../lib/logger.ts'
import type { Operation, OperationAction } from '../../model/operation.ts'
import type { Sql } from '../../store/database.ts'
import type { Chain } from '../../store/operations.ts'
import type { ControlContext } from '../context.ts'

export type StepContext = {
  control: ControlContext
  chain: Chain
  operation: Operation
  logger: Logger
}

export type Step = {
  run(step: StepContext): Promise<void>
  undo(step: StepContext): Promise<void>
}

/** What the last step's success and the chain's failure mean for the rows, beside the operations. */
export type ChainDefinition = {
  kind: string
  steps: Partial<Record<OperationAction, Step>>
  /** In the same transaction that ends the chain. */
  finished?(control: ControlContext, chain: Chain, sql: Sql): Promise<void>
  /** After every step was undone, in the transaction that ends the chain. */
  undone?(control: ControlContext, chain: Chain, sql: Sql): Promise<void>
  /** After that transaction, whichever of the two it was: who is to be told. Does not happen where we end in between. */
  ended?(control: ControlContext, chain: Chain): Promise<void>
}

export const nothingToUndo = async (): Promise<void> => {}
