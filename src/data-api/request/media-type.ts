// What a client accepts, in its order of preference. https://docs.postgrest.org/en/v14/references/api/media_types.html

export type PlanOption = 'analyze' | 'verbose' | 'settings' | 'buffers' | 'wal'

export type MediaType =
  | { kind: 'any' }
  /** Of whatever is produced by default. */
  | { kind: 'json' }
  | { kind: 'array'; stripsNulls: boolean }
  | { kind: 'object'; stripsNulls: boolean }
  | { kind: 'csv' }
  | { kind: 'geojson' }
  | { kind: 'openapi' }
  | { kind: 'plan'; format: 'text' | 'json'; for: MediaType; options: readonly PlanOption[] }
  | { kind: 'urlencoded' }
  | { kind: 'octet-stream' }
  | { kind: 'text' }
  | { kind: 'xml' }
  /** In lower case, without parameters. */
  | { kind: 'other'; name: string }
