import type { User } from '../model/caller.ts'
import { seconds } from './timestamps.ts'

/** As operations of our own show a user; Neon's clients see the caller alone, in `GET /users/me`. */
export function userView(user: User) {
  return { id: user.id, email: user.email, name: user.name, created_at: seconds(user.createdAt) }
}
