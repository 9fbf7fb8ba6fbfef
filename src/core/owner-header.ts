// The header of an owner event: what layer A reads of it.
import type { OwnerBody, OwnerEvent } from './event.ts'
import type { OwnerHeader } from './state.ts'

export function headerOf({ id, kind, tenure, depth, parents, body }: OwnerEvent): OwnerHeader {
  return { id, kind, tenure, depth, parents, ...aboutOf(body) }
}

/** What a later version says is not known, whatever kind it says it is. */
function aboutOf(body: OwnerBody): Pick<OwnerHeader, 'key' | 'operation' | 'kReview'> {
  switch (body.kind) {
    case 'add':
    case 'remove':
      return { key: body.key }
    case 'endorse':
      return { operation: body.operation }
    case 'policy':
      return { kReview: body.kReview }
    default:
      return {}
  }
}
