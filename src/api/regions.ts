// Regions.

import { ok, type ApiRequest, type Handlers } from './handler.ts'

export const regions = {
  async getActiveRegions({ control }: ApiRequest) {
    const { regions, defaultRegionId } = await control.regions.list()
    return ok({
      regions: regions.map((region) => ({
        region_id: region.id,
        name: region.name,
        default: region.id === defaultRegionId,
        geo_lat: region.latitude,
        geo_long: region.longitude,
      })),
    })
  },
} satisfies Handlers
