// What the two ways to make an endpoint, and the one to change it, have in common in their bodies.

import type { EndpointSettingsData } from '@neondatabase/api-client'
import type { EndpointSettingsInput } from '../control/params.ts'
import type { Wire } from './contract/wire.ts'

type Body = {
  autoscaling_limit_min_cu?: number | undefined
  autoscaling_limit_max_cu?: number | undefined
  suspend_timeout_seconds?: number | undefined
  settings?: Wire<EndpointSettingsData> | undefined
}

/** Pooler fields and `passwordless_access` are taken and have no effect: the first are on their way out at Neon, too. */
export function toEndpointSettings(body: Body): EndpointSettingsInput {
  const libraries = body.settings?.preload_libraries
  return {
    autoscalingLimitMinCu: body.autoscaling_limit_min_cu,
    autoscalingLimitMaxCu: body.autoscaling_limit_max_cu,
    suspendTimeoutSeconds: body.suspend_timeout_seconds,
    pgSettings: body.settings?.pg_settings,
    preloadLibraries: libraries && {
      useDefaults: libraries.use_defaults,
      enabledLibraries: libraries.enabled_libraries,
    },
  }
}
