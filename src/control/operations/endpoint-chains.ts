// The chains of an endpoint: start, suspend, restart, what a changed setting or a new endpoint needs, and what its removal needs.

import { AppError, errorChain } from '../../model/errors.ts'
import { getEndpointTarget, listBranchEndpoints } from '../../store/endpoints.ts'
import { toComputeSpec } from '../compute-spec.ts'
import { refreshAssignment } from '../assignments.ts'
import { rereadCatalog } from '../catalog.ts'
import { servingTarget, withClient } from '../branch-compute.ts'
import { refusalFor } from '../start-gate.ts'
import { noteSubscriptions } from '../wal-head.ts'
import { nothingToUndo, type ChainDefinition, type Step, type StepContext } from './chain.ts'
import { stepBranch } from './step-branch.ts'

/** Starts the branch's compute for its endpoint; one that is disabled or deleted meanwhile, or beyond a quota, stays as it is. */
export const startStep: Step = {
  async run(step) {
    const { control, operation } = step
    const branch = await stepBranch(step)
    using _lock = await control.branchLocks.acquire(branch.id, 'start_compute')
    const target = await servingTarget(control, branch)
    if (!target || target.endpointId !== operation.endpointId) return
    // What the call is about is done; the compute comes when it may be had again.
    if (refusalFor(target)) return
    await control.computes.start(target, 'chain')
  },
  undo: nothingToUndo,
}

export const suspendStep: Step = {
  async run(step) {
    const { control } = step
    const branch = await stepBranch(step)
    if (!branch.timelineId) return
    const { timelineId } = branch
    using _lock = await control.branchLocks.acquire(branch.id, 'suspend_compute')
    if (control.supervisor.state(timelineId).kind === 'running') {
      await withClient(control, timelineId, (client) => noteSubscriptions(control, timelineId, client)).catch(() => {})
      // Roles made by SQL come in while it sleeps as well.
      await rereadCatalog(control, branch, timelineId).catch((error: unknown) => {
        step.logger.warn({ cause: errorChain(error) }, 'could not read roles and databases back')
      })
    }
    // Clients of an endpoint that is deleted or disabled have nowhere to go on.
    const target = await servingTarget(control, branch)
    await control.computes.suspend(timelineId, 'chain', { drains: target !== undefined })
    if (target) await refreshAssignment(control, target.endpointId)
  },
  undo: nothingToUndo,
}

/** Settings of a running compute: reloaded where that is enough, else the compute is restarted. */
const reconfigureStep: Step = {
  async run(step: StepContext) {
    const { control, operation } = step
    const branch = await stepBranch(step)
    using _lock = await control.branchLocks.acquire(branch.id, 'apply_config')
    const target = operation.endpointId && (await getEndpointTarget(control.store, operation.endpointId))
    if (!target || !target.timelineId || target.branchId !== branch.id) return
    const { timelineId } = target
    if (control.supervisor.state(timelineId).kind !== 'running') return
    const spec = toComputeSpec({ ...target, timelineId }, control)
    const outcome = await control.supervisor.reconfigure(spec)
    if (outcome === 'restart_needed') {
      await control.computes.suspend(timelineId, 'chain')
      await control.computes.start({ ...target, timelineId }, 'chain')
    } else control.computes.setSuspendTimeout(target.endpointId, target.suspendTimeoutSeconds)
  },
  undo: nothingToUndo,
}

export const startChain: ChainDefinition = { kind: 'start_endpoint', steps: { start_compute: startStep } }
export const suspendChain: ChainDefinition = { kind: 'suspend_endpoint', steps: { suspend_compute: suspendStep } }
export const restartChain: ChainDefinition = {
  kind: 'restart_endpoint',
  steps: { suspend_compute: suspendStep, start_compute: startStep },
}
export const updateEndpointChain: ChainDefinition = {
  kind: 'update_endpoint',
  steps: { apply_config: reconfigureStep, suspend_compute: suspendStep },
}
export const deleteBranchChain: ChainDefinition = {
  kind: 'delete_branch',
  steps: {
    suspend_compute: suspendStep,
    // Softly deleted data stays for its recovery; what is to go now is marked so in the rows, and the purge takes it from there.
    delete_timeline: {
      async run(step) {
        const branch = await stepBranch(step)
        if (!branch.deletedAt) throw new AppError('internal', `branch ${branch.id} is not deleted`)
        if (!branch.timelineId) return
        using _lock = await step.control.branchLocks.acquire(branch.id, 'delete_timeline')
        await step.control.computes.suspend(branch.timelineId, 'chain', { drains: false })
        for (const endpoint of await listBranchEndpoints(step.control.store, branch.id)) {
          await step.control.assignments.remove(endpoint.id)
        }
      },
      undo: nothingToUndo,
    },
  },
}
/** Of a project that is deleted, or that changes what no running compute can change. */
export const suspendComputesChain: ChainDefinition = {
  kind: 'suspend_computes',
  steps: { suspend_compute: suspendStep },
}
