// The Better Auth surface of one integration.

import { AppError } from '../../model/errors.ts'
import type { AuthInstance, AuthRequest } from '../instance.ts'

export async function handleBetterAuth(_instance: AuthInstance, _request: AuthRequest): Promise<Response> {
  throw new AppError('not_implemented', 'the Better Auth surface is not there yet')
}
