// What must hold of one small history: both reducers agree, somebody owns it, and whichever event
// came last, it moved nobody it may not move and `admit` said so.
import { admit, summaryAfter } from '../../src/core/admission.ts'
import { type Authority, authority } from '../../src/core/authority.ts'
import { requirementAt } from '../../src/core/policy.ts'
import type { EventId, TenureId } from '../../src/core/ids.ts'
import { GENESIS, KEYS, type Model, smallAuthority, type Step } from './small-model.ts'

const authorityOf = (model: Model, steps: readonly Step[]) =>
  authority(
    { founders: KEYS.slice(0, model.founders), kOwner: model.kOwner, kReview: 1 },
    steps.map(({ header }) => header),
    GENESIS,
  )

function fail(what: string, steps: readonly Step[]): never {
  const lines = steps.map(({ tenure, kind, key, parents }, i) => {
    return `${i}: tenure ${tenure} ${kind} ${key} <- ${parents.toString(2)}`
  })
  throw new Error(`${what}\n${lines.join('\n')}`)
}

/**
 * Throws when something does not hold. `lastComers`: also take each unbuilt-on event for the last.
 */
export function checkSmallHistory(model: Model, steps: readonly Step[], lastComers: boolean): void {
  const full = authorityOf(model, steps)
  const small = smallAuthority(model, steps)
  steps.forEach(({ header }, i) => {
    const isValid = ((small.valid >> i) & 1) === 1
    if (isValid === full.voidEvents.has(header.id)) fail(`verdict on event ${i}`, steps)
    const isIgnored = ((small.ignored >> i) & 1) === 1
    if (isIgnored !== full.ignoredLeavings.has(header.id)) fail(`guard on event ${i}`, steps)
    const requires = header.kind === 'review' ? small.requires[i] : 1
    if (requires !== requiredBy(full, header.id)) fail(`requirement of event ${i}`, steps)
  })
  let live = 0
  for (const tenure of full.tenures) if (tenure.live) live |= 1 << numberOf(tenure.id, model)
  if (live !== small.live) fail('owners', steps)
  if (live === 0) fail('nobody owns it', steps)
  if (!lastComers) return
  const built = steps.reduce((all, { past }) => all | past, 0)
  steps.forEach((step, i) => {
    if (((built >> i) & 1) === 0) checkLastComer(model, steps, i, full)
  })
}

const requiredBy = ({ requirements }: Authority, id: EventId) => requirements.get(id) ?? 1

function numberOf(tenure: TenureId, { founders }: Model): number {
  return tenure.startsWith('f') ? Number(tenure.slice(1)) : founders + Number(tenure)
}

function checkLastComer(model: Model, steps: readonly Step[], e: number, after: Authority): void {
  const { header, past, tenure } = steps[e] as Step
  const before = authorityOf(
    model,
    steps.filter((_, i) => i !== e),
  )
  const changed = steps.filter(
    ({ header: { id } }, i) => i !== e && before.voidEvents.has(id) !== after.voidEvents.has(id),
  )
  const required = steps.filter(
    ({ header: { id } }, i) => i !== e && requiredBy(before, id) !== requiredBy(after, id),
  )
  const isVoid = after.voidEvents.has(header.id)
  if (isVoid && required.length > 0) fail(`void event ${e} asks for something`, steps)
  if (isVoid && changed.length > 0) fail(`void event ${e} acts`, steps)
  const sameGuard = sameSet(before.ignoredLeavings, after.ignoredLeavings)
  if (isVoid && !sameGuard) fail(`void event ${e} moves the guard`, steps)
  if (sameGuard) {
    for (const other of changed) {
      if (!isSenior(model, steps, tenure, other.tenure)) fail(`event ${e} moves a senior`, steps)
    }
  }

  const seen = new Set<EventId>()
  steps.forEach(({ kind, header: { id } }, i) => {
    if ((kind === 'remove' || kind === 'policy') && ((past >> i) & 1) === 1) seen.add(id)
  })
  const verdict = admit(before.summary, header, seen)
  if (verdict === 'recompute') return
  const isWrong = changed.length + required.length > 0 || (verdict === 'void') !== isVoid
  if (isWrong) fail(`admit ${e}: ${verdict}`, steps)
  const { policies, kReview } = before.summary
  const requires = header.kind === 'review' ? requirementAt(policies, kReview, seen) : 1
  if (requires !== requiredBy(after, header.id)) fail(`requirement ${requires} of ${e}`, steps)
  const kept = summaryAfter(before.summary, header, verdict)
  if (textOf(kept) !== textOf(after.summary)) fail(`summary after ${e}`, steps)
}

function isSenior(model: Model, steps: readonly Step[], a: number, b: number): boolean {
  const { founders } = model
  if (a < founders) return b >= founders || a < b
  return b >= founders && (((steps[b - founders] as Step).past >> (a - founders)) & 1) === 1
}

function sameSet<T>(a: ReadonlySet<T>, b: ReadonlySet<T>): boolean {
  return a.size === b.size && [...a].every((entry) => b.has(entry))
}

function textOf({ standings, ...rest }: Authority['summary']): string {
  const { anyRemove, isGuarded, policies } = rest
  return JSON.stringify([
    anyRemove,
    isGuarded,
    policies,
    [...standings].sort(([a], [b]) => (a < b ? -1 : 1)),
  ])
}
