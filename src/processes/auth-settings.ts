import type { ServiceSettings } from './service-settings.ts'

/** All the auth process is told by its parent; everything else it asks control. */
export type AuthProcessSettings = ServiceSettings & {
  /** Whether the development identity provider is to answer. */
  hasDevelopmentProvider: boolean
  /** Whether addresses may ask as often as they like. */
  countsAddresses: boolean
}
