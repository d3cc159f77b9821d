// What control offers of the Data API, and what its calls take.

import type { Caller } from '../../model/caller.ts'
import type { DataApi, DataApiAuthProvider, DataApiSettings } from '../../model/data-api.ts'

export type DataApiPlace = { projectId: string; branchId: string; databaseName: string }

export type EnableDataApiInput = {
  authProvider?: DataApiAuthProvider | undefined
  jwksUrl?: string | undefined
  providerName?: string | undefined
  audience?: string | undefined
  grantsDefaults: boolean
  skipsAuthSchema: boolean
  settings?: DataApiSettings | undefined
}

export type ShownDataApi = {
  api: DataApi
  url: string
  /** `error`: its database is not there any more. */
  status: 'provisioning' | 'active' | 'error'
  /** Undefined: nobody has looked yet. */
  schemas: readonly string[] | undefined
}

export interface DataApiControl {
  /** Returns when it answers. Throws `already_exists`, `not_found`, `unprocessable`. */
  enable(caller: Caller, place: DataApiPlace, input: EnableDataApiInput): Promise<{ url: string }>
  /** Throws `not_found` where it is off. Wakes nothing. */
  get(caller: Caller, place: DataApiPlace): Promise<ShownDataApi>
  /** `settings`: all of them; undefined: they stay as they are. The schema is looked at anew either way. */
  update(caller: Caller, place: DataApiPlace, settings: DataApiSettings | undefined): Promise<void>
  /** From when it returns on, requests fail. Roles and grants stay in the database. */
  disable(caller: Caller, place: DataApiPlace): Promise<void>
}
