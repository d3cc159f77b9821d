// What an endpoint may be set to. The one place that knows the rules; everything else passes values on.

import { assertPgSettings } from '../compute/pg-settings.ts'
import { largestCu, longestSuspendTimeoutSeconds, smallestCu } from '../model/compute.ts'
import type { Endpoint } from '../model/endpoint.ts'
import { AppError } from '../model/errors.ts'
import type { OrganizationLimits } from '../model/plan.ts'
import type { EndpointDefaults, Project } from '../model/project.ts'
import type { EndpointSettingsInput } from './params.ts'
import { assertCuLimits, withinCuLimits } from './limits.ts'

const bad = (message: string): AppError => new AppError('bad_request', message)

/** Neon's limit on the distance between the two ends of an autoscaling range. */
const widestRangeCu = 8
function assertCu(value: number, field: string): void {
  if (!Number.isFinite(value) || value < smallestCu || value > largestCu || (value * 4) % 1 !== 0) {
    throw bad(`${field} must be between ${smallestCu} and ${largestCu} in steps of ${smallestCu}, got ${value}`)
  }
}

function assertSuspendTimeout(seconds: number): void {
  if (!Number.isInteger(seconds) || seconds < -1 || seconds > longestSuspendTimeoutSeconds) {
    throw bad(
      `suspend_timeout_seconds must be -1 (never), 0 (the default) or between 1 and ${longestSuspendTimeoutSeconds}, got ${seconds}`,
    )
  }
}

export type EndpointSettings = Pick<
  Endpoint,
  'autoscalingLimitMinCu' | 'autoscalingLimitMaxCu' | 'suspendTimeoutSeconds' | 'pgSettings' | 'preloadLibraries'
>

/** Settings as they are, with the given ones in place of theirs. A lone minimum or maximum moves the other end along. */
export function mergeEndpointSettings(
  base: EndpointSettings,
  input: EndpointSettingsInput,
  preloadable: readonly string[],
  limits: OrganizationLimits,
): EndpointSettings {
  let min = input.autoscalingLimitMinCu ?? base.autoscalingLimitMinCu
  let max = input.autoscalingLimitMaxCu ?? base.autoscalingLimitMaxCu
  assertCu(min, 'autoscaling_limit_min_cu')
  assertCu(max, 'autoscaling_limit_max_cu')
  if (min > max) {
    if (input.autoscalingLimitMaxCu === undefined) max = min
    else if (input.autoscalingLimitMinCu === undefined) min = max
    else throw bad(`autoscaling_limit_min_cu (${min}) must not be greater than autoscaling_limit_max_cu (${max})`)
  }
  if (max - min > widestRangeCu)
    throw bad(`the autoscaling range must not be wider than ${widestRangeCu} compute units`)
  assertCuLimits(base, { autoscalingLimitMinCu: min, autoscalingLimitMaxCu: max }, limits)
  const suspendTimeoutSeconds = input.suspendTimeoutSeconds ?? base.suspendTimeoutSeconds
  assertSuspendTimeout(suspendTimeoutSeconds)
  const pgSettings = input.pgSettings === undefined ? base.pgSettings : toPgSettings(input.pgSettings)
  const preloadLibraries = input.preloadLibraries?.enabledLibraries ?? base.preloadLibraries
  assertPreloadLibraries(preloadLibraries, preloadable)
  return {
    autoscalingLimitMinCu: min,
    autoscalingLimitMaxCu: max,
    suspendTimeoutSeconds,
    pgSettings,
    preloadLibraries: [...preloadLibraries],
  }
}

/** JSON has numbers and booleans, postgresql.conf has text. */
function toPgSettings(input: Readonly<Record<string, unknown>>): Record<string, string> {
  const settings: Record<string, string> = {}
  for (const [name, value] of Object.entries(input)) {
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') {
      throw bad(`pg_settings.${name} must be a text, a number or a boolean`)
    }
    settings[name] = String(value)
  }
  assertPgSettings(settings)
  return settings
}

export function assertPreloadLibraries(libraries: readonly string[], preloadable: readonly string[]): void {
  for (const library of libraries) {
    if (!preloadable.includes(library)) {
      throw bad(
        `library ${JSON.stringify(library)} cannot be preloaded; available: ${preloadable.join(', ') || 'none'}`,
      )
    }
  }
}

/** Of a new project. */
export function newEndpointDefaults(
  input: EndpointSettingsInput | undefined,
  limits: OrganizationLimits,
): EndpointDefaults {
  const base: EndpointDefaults = {
    autoscalingLimitMinCu: smallestCu,
    autoscalingLimitMaxCu: limits.newProjectMaxCu,
    suspendTimeoutSeconds: 0,
    pgSettings: {},
  }
  return mergeEndpointDefaults(withinCuLimits(base, limits), input, limits)
}

export function mergeEndpointDefaults(
  base: EndpointDefaults,
  input: EndpointSettingsInput | undefined,
  limits: OrganizationLimits,
): EndpointDefaults {
  if (!input) return base
  return toDefaults(
    mergeEndpointSettings({ ...base, preloadLibraries: [] }, { ...input, preloadLibraries: undefined }, [], limits),
  )
}

/** Of a new endpoint: the project's defaults, then what the call says. */
export function newEndpointSettings(
  project: Project,
  input: EndpointSettingsInput,
  preloadable: readonly string[],
  limits: OrganizationLimits,
): EndpointSettings {
  const base = withinCuLimits({ ...project.endpointDefaults, preloadLibraries: [] }, limits)
  return mergeEndpointSettings(base, input, preloadable, limits)
}

function toDefaults(settings: EndpointSettings): EndpointDefaults {
  const { autoscalingLimitMinCu, autoscalingLimitMaxCu, suspendTimeoutSeconds, pgSettings } = settings
  return { autoscalingLimitMinCu, autoscalingLimitMaxCu, suspendTimeoutSeconds, pgSettings }
}
