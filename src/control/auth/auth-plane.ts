// What the auth process is told by control.

import type { AuthIntegrationId } from '../../model/ids.ts'
import type { ControlContext } from '../context.ts'

/** After the commit of whatever changed an integration, or removed it. */
export async function authChanged(_control: ControlContext, _integrationId: AuthIntegrationId): Promise<void> {}
