// Regions are labels here: one machine answers for all of them, so that scripts written for Neon's regions run unchanged.

export type Region = { id: string; name: string; latitude: string; longitude: string }

export const regions: readonly Region[] = [
  { id: 'aws-us-east-1', name: 'AWS US East 1 (N. Virginia)', latitude: '38.8', longitude: '-77.5' },
  { id: 'aws-us-east-2', name: 'AWS US East 2 (Ohio)', latitude: '40.0', longitude: '-83.0' },
  { id: 'aws-us-west-2', name: 'AWS US West 2 (Oregon)', latitude: '45.8', longitude: '-119.7' },
  { id: 'aws-eu-central-1', name: 'AWS Europe Central 1 (Frankfurt)', latitude: '50.1', longitude: '8.7' },
  { id: 'aws-eu-west-2', name: 'AWS Europe West 2 (London)', latitude: '51.5', longitude: '-0.1' },
  { id: 'aws-ap-southeast-1', name: 'AWS Asia Pacific 1 (Singapore)', latitude: '1.3', longitude: '103.8' },
  { id: 'aws-ap-southeast-2', name: 'AWS Asia Pacific 2 (Sydney)', latitude: '-33.9', longitude: '151.2' },
  { id: 'aws-sa-east-1', name: 'AWS South America East 1 (São Paulo)', latitude: '-23.5', longitude: '-46.6' },
  { id: 'azure-eastus2', name: 'Azure East US 2 (Virginia)', latitude: '36.7', longitude: '-78.4' },
]

export const defaultRegionId = 'aws-us-east-2'
