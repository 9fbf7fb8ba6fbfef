// The rules of state as one value: what a replica reduces events with. Tests pass others, to see that
// wrong rules are found out.
import { admit, summaryAfter } from './admission.ts'
import { authority } from './authority.ts'
import { ownersOf, tagOwnersOf } from './claims.ts'
import { decide } from './decisions.ts'
import { objectRowOf } from './objects.ts'

export const rules = {
  authority,
  admit,
  summaryAfter,
  decide,
  objectRowOf,
  ownersOf,
  tagOwnersOf,
} as const

export type Rules = typeof rules
