// A Data API without anything behind it, for tests of the API alone.

import type { DataApiControl } from '../control/data-api/data-api-control.ts'
import type { BranchId, DataApiId, ProjectId } from '../model/ids.ts'

export function fakeDataApi(then: Date): DataApiControl {
  const url = 'https://ep-quiet-river-cccc3333.apirest.example.com/neondb/rest/v1'
  return {
    enable: async () => ({ url }),
    get: async () => ({
      api: {
        id: '4b1f7c1e-3f0c-4d6e-9a61-2d0b7f5d1c16' as DataApiId,
        projectId: 'quiet-river-12345678' as ProjectId,
        branchId: 'br-quiet-river-aaaa1111' as BranchId,
        databaseName: 'neondb',
        authProvider: 'neon_auth',
        audience: undefined,
        grantsDefaults: false,
        skipsAuthSchema: false,
        settings: { db_max_rows: 1000 },
        createdAt: then,
        updatedAt: then,
      },
      url,
      status: 'active',
      schemas: ['public'],
    }),
    update: async () => {},
    disable: async () => {},
  }
}
