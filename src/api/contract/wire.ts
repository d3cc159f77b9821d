// Types of what goes over the wire, taken from upstream's client: nothing is typed twice.

import type { Api } from '@neondatabase/api-client'

/**
 * Upstream's types as JSON has them: an enum is the union of its texts, and an optional field may be given as undefined, which
 * JSON leaves out.
 */
export type Wire<T> = T extends string
  ? string extends T
    ? T
    : `${T}`
  : T extends readonly (infer Item)[]
    ? Wire<Item>[]
    : T extends object
      ? { [Key in keyof T]: Wire<T[Key]> | (IsOptional<T, Key> extends true ? undefined : never) }
      : T

type IsOptional<T, Key extends keyof T> = string extends Key
  ? false
  : Partial<Pick<T, Key>> extends Pick<T, Key>
    ? true
    : false

type Client = Api<unknown>
type MethodName = {
  [Key in keyof Client]: Client[Key] extends (...args: never[]) => Promise<{ data: unknown }> ? Key : never
}[keyof Client]

/** Operations that the client's methods spell otherwise. */
type Respelled = {
  getConnectionURI: 'getConnectionUri'
  getProjectBranchDataAPI: 'getProjectBranchDataApi'
  createProjectBranchDataAPI: 'createProjectBranchDataApi'
  updateProjectBranchDataAPI: 'updateProjectBranchDataApi'
  deleteProjectBranchDataAPI: 'deleteProjectBranchDataApi'
  getProjectJWKS: 'getProjectJwks'
  addProjectJWKS: 'addProjectJwks'
  deleteProjectJWKS: 'deleteProjectJwks'
  listNeonAuthRedirectURIWhitelistDomains: 'listNeonAuthRedirectUriWhitelistDomains'
  addNeonAuthDomainToRedirectURIWhitelist: 'addNeonAuthDomainToRedirectUriWhitelist'
  deleteNeonAuthDomainFromRedirectURIWhitelist: 'deleteNeonAuthDomainFromRedirectUriWhitelist'
  createNeonAuthProviderSDKKeys: 'createNeonAuthProviderSdkKeys'
  listProjectVPCEndpoints: 'listProjectVpcEndpoints'
  assignProjectVPCEndpoint: 'assignProjectVpcEndpoint'
  deleteProjectVPCEndpoint: 'deleteProjectVpcEndpoint'
  listOrganizationVPCEndpointsAllRegions: 'listOrganizationVpcEndpointsAllRegions'
  listOrganizationVPCEndpoints: 'listOrganizationVpcEndpoints'
  getOrganizationVPCEndpointDetails: 'getOrganizationVpcEndpointDetails'
  assignOrganizationVPCEndpoint: 'assignOrganizationVpcEndpoint'
  deleteOrganizationVPCEndpoint: 'deleteOrganizationVpcEndpoint'
}

export type OperationName = Exclude<MethodName, Respelled[keyof Respelled] | 'request' | 'instance'> | keyof Respelled
type MethodOf<Name extends OperationName> = Client[Name extends keyof Respelled
  ? Respelled[Name]
  : Extract<Name, MethodName>]

/** What an operation answers where it succeeds. */
export type AnswerOf<Name extends OperationName> =
  MethodOf<Name> extends (...args: never[]) => Promise<{ data: infer Data }> ? Wire<Data> : never
