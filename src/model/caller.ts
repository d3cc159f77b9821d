import type { OrganizationId, ProjectId, UserId } from './ids.ts'

/** Who made the key: what it creates is said to be his. */
type Keyed = { userId: UserId; keyId: number }

/**
 * The authenticated subject of a request. `user`: a person, in every organization and project that is open to him. `organization`: an
 * organization's own key, its admin. `project`: a key for one project of an organization, with a member's rights there and none elsewhere.
 */
export type Caller =
  | (Keyed & { kind: 'user' })
  | (Keyed & { kind: 'organization'; orgId: OrganizationId })
  | (Keyed & { kind: 'project'; orgId: OrganizationId; projectId: ProjectId })

/** Whom an answer was given to, whichever of his keys he used: stored answers and rate limits go by it. */
export function subjectOf(caller: Caller): string {
  switch (caller.kind) {
    case 'user':
      return `user:${caller.userId}`
    case 'organization':
      return `organization:${caller.orgId}`
    case 'project':
      return `project:${caller.projectId}`
  }
}

export type User = { id: UserId; email: string; name: string; createdAt: Date }

/** As the lists of keys name him. */
export type Creator = Pick<User, 'id' | 'name'>

export type ApiKeyKind = Caller['kind']

/** `userId`: who made it. `orgId`: of keys that are an organization's, `projectId`: of those that open one project of it. */
export type ApiKey = {
  id: number
  kind: ApiKeyKind
  userId: UserId
  orgId: OrganizationId | undefined
  projectId: ProjectId | undefined
  name: string
  createdAt: Date
  lastUsedAt: Date | undefined
  lastUsedFrom: string
  revokedAt: Date | undefined
}

/** Who calls with this key. */
export function callerOf({ id: keyId, kind, userId, orgId, projectId }: ApiKey): Caller {
  switch (kind) {
    case 'user':
      return { kind, userId, keyId }
    case 'organization':
      if (orgId === undefined) throw new Error(`key ${keyId} of an organization names none`)
      return { kind, userId, keyId, orgId }
    case 'project':
      if (orgId === undefined || projectId === undefined) throw new Error(`key ${keyId} of a project names none`)
      return { kind, userId, keyId, orgId, projectId }
  }
}
