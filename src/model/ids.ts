// Every id has a type of its own, so that a branch id cannot be passed where an endpoint id is meant.
//
// Shapes are Neon's: clients match branch ids against `br-[a-z0-9]+-[a-z0-9]+-[a-z0-9]+`, and an endpoint id is a DNS label.

declare const brand: unique symbol
type Id<Name extends string> = string & { readonly [brand]: Name }

export type ProjectId = Id<'project'>
export type BranchId = Id<'branch'>
export type EndpointId = Id<'endpoint'>
export type OperationId = Id<'operation'>
export type ChainId = Id<'chain'>
export type TimelineId = Id<'timeline'>
export type ImageId = Id<'image'>
export type SnapshotId = Id<'snapshot'>
export type OrganizationId = Id<'organization'>
export type UserId = Id<'user'>
export type AuthIntegrationId = Id<'auth integration'>
export type DataApiId = Id<'data api'>

const adjectives =
  'aged ancient autumn billowing bitter black blue bold broad broken calm cold cool crimson curly damp dark dawn delicate divine dry empty falling fancy flat floral fragrant frosty gentle green hidden holy icy jolly late lingering little lively long lucky misty morning muddy mute nameless noisy odd old orange patient plain polished proud purple quiet rapid raspy red restless rough round royal shiny shrill shy silent small snowy soft solitary sparkling spring square steep still summer super sweet throbbing tight tiny twilight wandering weathered white wild winter wispy withered yellow young'.split(
    ' ',
  )
const nouns =
  'art band bar base bird block boat bonus bread breeze brook bush butterfly cake cell cherry cloud credit darkness dawn dew disk dream dust feather field fire firefly flower fog forest frog frost glade glitter grass hall hat haze heart hill king lab lake leaf limit math meadow mode moon morning mountain mouse mud night paper pine poetry pond queen rain recipe resonance rice river salad scene sea shadow shape silence sky smoke snow snowflake sound star sun sunset surf term thunder tooth tree truth union unit violet voice water waterfall wave wildflower wind wood'.split(
    ' ',
  )

function randomBelow(limit: number): number {
  // 32 random bits over tables of about a hundred: the modulo bias is far below what a name could show.
  return (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) % limit
}

function randomText(alphabet: string, length: number): string {
  let text = ''
  for (let i = 0; i < length; i++) text += alphabet[randomBelow(alphabet.length)]
  return text
}

function wordPair(): string {
  return `${adjectives[randomBelow(adjectives.length)]}-${nouns[randomBelow(nouns.length)]}`
}

const lettersAndDigits = 'abcdefghijklmnopqrstuvwxyz0123456789'

export const newProjectId = (): ProjectId => `${wordPair()}-${randomText('0123456789', 8)}` as ProjectId
export const newBranchId = (): BranchId => `br-${wordPair()}-${randomText(lettersAndDigits, 8)}` as BranchId
export const newEndpointId = (): EndpointId => `ep-${wordPair()}-${randomText(lettersAndDigits, 8)}` as EndpointId
export const newOrganizationId = (): OrganizationId =>
  `org-${wordPair()}-${randomText('0123456789', 8)}` as OrganizationId
export const newOperationId = (): OperationId => crypto.randomUUID() as OperationId
export const newChainId = (): ChainId => crypto.randomUUID() as ChainId
export const newUserId = (): UserId => crypto.randomUUID() as UserId
export const newAuthIntegrationId = (): AuthIntegrationId => crypto.randomUUID() as AuthIntegrationId
export const newDataApiId = (): DataApiId => crypto.randomUUID() as DataApiId

/** Short, because it is part of a Unix socket's path, which may have 107 bytes at most (sun_path). */
export const newTimelineId = (): TimelineId => randomText(lettersAndDigits, 12) as TimelineId

/** The same shape as a timeline's, as their folders lie side by side. */
export const newImageId = (): ImageId => randomText(lettersAndDigits, 12) as ImageId
export const newSnapshotId = (): SnapshotId => `snap-${wordPair()}-${randomText(lettersAndDigits, 8)}` as SnapshotId

export const isTimelineId = (text: string): text is TimelineId => /^[a-z0-9]{12}$/.test(text)
