// What to tell gossip of an event that came by it, from what became of it.
import { rejections } from '../core/errors.ts'
import type { GossipVerdict } from '../ports.ts'
import type { Submitted } from './session-result.ts'

/** Only what the bytes alone prove is held against whoever passed them on. */
export function verdictOf(outcome: Submitted | undefined): GossipVerdict {
  if (outcome === undefined) return 'ignore'
  if (outcome.refused.some(({ refused }) => rejections[refused].provable)) return 'reject'
  if (isCrowded(outcome)) return 'surplus'
  return outcome.stored > 0 && outcome.missingParents.length === 0 ? 'accept' : 'ignore'
}

/** Something was left out for want of room, or as one of too many. */
export function isCrowded({ refused }: Submitted): boolean {
  return refused.some((refusal) => refusal.refused === 'over-quota')
}
