// The Stack surface: which project a request is for, and who answers it.

import { AppError } from '../../model/errors.ts'
import type { AuthRequest, FindInstance } from '../instance.ts'

export async function handleStack(_services: { findInstance: FindInstance }, _request: AuthRequest): Promise<Response> {
  throw new AppError('not_implemented', 'the Stack surface is not there yet')
}
