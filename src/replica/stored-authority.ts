// The row that layer A is kept in, so that opening a dataset reads no history, also as earlier versions
// wrote it.
import type { AuthoritySummary, Standing } from '../core/authority.ts'
import type { PublicKey, TenureId } from '../core/ids.ts'
import type { EffectivePolicy } from '../core/policy.ts'
import type { Tenure } from '../core/state.ts'

/** Earlier versions knew of no thresholds, policies and endorsements. */
export interface StoredAuthority {
  readonly founders: readonly PublicKey[]
  readonly kOwner?: number
  readonly kReview?: number
  readonly tenures: readonly Tenure[]
  readonly standings: readonly [TenureId, StoredStanding][]
  readonly anyRemove: boolean
  readonly isGuarded: boolean
  readonly policies?: readonly EffectivePolicy[]
}

type StoredStanding = Omit<Standing, 'removedBy'> & Partial<Pick<Standing, 'removedBy'>>

export const noSummary: AuthoritySummary = {
  standings: new Map(),
  anyRemove: false,
  isGuarded: false,
  kOwner: 1,
  kReview: 1,
  policies: [],
}

export function storedOf(
  founders: readonly PublicKey[],
  tenures: readonly Tenure[],
  summary: AuthoritySummary,
): StoredAuthority {
  return { ...summary, founders, tenures, standings: [...summary.standings] }
}

export function summaryOf(stored: StoredAuthority): AuthoritySummary {
  const { anyRemove, isGuarded, kOwner = 1, kReview = 1, policies = [] } = stored
  const born = stored.standings.filter(([, { exists }]) => exists)
  const standings = new Map(born.map(([id, standing]) => [id, standingOf(standing)]))
  return { standings, anyRemove, isGuarded, kOwner, kReview, policies }
}

function standingOf(standing: StoredStanding): Standing {
  return { removedBy: [], ...standing }
}
