// What an import came to: counts of what is here now, as Gonk's listings would show it, and what
// could not be said in our terms.
import { textOfEventId } from '../../core/ids.ts'
import type { Decision } from '../../core/state.ts'
import type { GonkHistory, GonkOperation, GonkVersion } from '../../importers/gonk/history.ts'
import type { Replica } from '../../replica/replica.ts'
import type { ImportResult } from '../../contract/api.ts'
import type { NodeContext } from '../context.ts'
import type { Blobs } from './blobs.ts'
import type { Imported } from './known.ts'
import type { GonkOperations } from './operations.ts'
import { mediaTypeOf, nameOf } from './words.ts'
import { oneLine } from '../text.ts'

type Status = Decision['status']
type Tally = Pick<ImportResult, 'counts' | 'warnings'>

/** Owners that are named one by one. */
const OWNERS_NAMED = 20
const plurals = { object: 'objects', schema: 'schemas', annotation: 'annotations' } as const
const words = { accepted: 'Accepted', pending: 'Pending', rejected: 'Rejected' } as const

/**
 * `counts`: `events`, `known` (operations that were here before), `notConforming`, `missing`, and
 * versions by kind and listing, such as `objectsAccepted`. One may be in two listings, as in Gonk.
 */
export async function tallyOf(
  context: Pick<NodeContext, 'users'>,
  replica: Replica,
  history: GonkHistory,
  imported: Imported,
  more: { readonly blobs: Blobs; readonly operations: GonkOperations; readonly known: number },
): Promise<Tally> {
  const counts: Record<string, number> = {
    events: history.events,
    known: more.known,
    notConforming: more.blobs.unfit.size,
    missing: more.blobs.missing.size,
  }
  for (const plural of Object.values(plurals)) {
    const deleted = plural === 'schemas' ? 'Deprecated' : 'Deleted'
    for (const word of [...Object.values(words), deleted]) counts[plural + word] = 0
  }
  const count = (name: string) => (counts[name] = (counts[name] ?? 0) + 1)
  const statuses = await statusesOf(replica, imported)
  const deletions = deletionsOf(history, statuses)
  const versions: GonkVersion[] = []
  for (const step of history.steps) {
    if ('review' in step || step.operation.op === 'delete') continue
    const version = step.operation
    versions.push(version)
    const status = statuses.get(version) as Status
    const deletion = deletions.get(version)
    const plural = plurals[version.kind]
    const isDeleted = deletion === 'accepted'
    if (status === 'accepted' && !isDeleted) count(`${plural}Accepted`)
    if (status === 'pending' || deletion === 'pending') count(`${plural}Pending`)
    if (status === 'rejected') count(`${plural}Rejected`)
    if (isDeleted) count(plural + (version.kind === 'schema' ? 'Deprecated' : 'Deleted'))
  }
  return {
    counts,
    warnings: [...warningsOf(versions, more), ...ownerWarnings(context, replica, history)],
  }
}

async function statusesOf(
  replica: Replica,
  { places }: Imported,
): Promise<Map<GonkOperation, Status>> {
  const statuses = new Map<GonkOperation, Status>()
  for (const [proposal, some] of Map.groupBy(places, ([, id]) => id.proposal)) {
    const row = await replica.log.proposal(proposal)
    if (row === undefined) throw new Error(`proposal ${textOfEventId(proposal)} has no row`)
    for (const [operation, { index }] of some) {
      const decision = row.decisions.find(({ from, to }) => from <= index && index <= to)
      statuses.set(operation, decision?.status ?? 'pending')
    }
  }
  return statuses
}

/** What became of the deletions of each version: accepted before pending, never rejected. */
function deletionsOf(
  { steps }: GonkHistory,
  statuses: ReadonlyMap<GonkOperation, Status>,
): Map<GonkVersion, Status> {
  const deletions = new Map<GonkVersion, Status>()
  for (const step of steps) {
    if ('review' in step || step.operation.op !== 'delete') continue
    const { of } = step.operation
    const status = statuses.get(step.operation) as Status
    if (status !== 'rejected' && deletions.get(of) !== 'accepted') deletions.set(of, status)
  }
  return deletions
}

function warningsOf(
  versions: readonly GonkVersion[],
  { blobs, operations }: { readonly blobs: Blobs; readonly operations: GonkOperations },
): string[] {
  const warnings: string[] = []
  const warn = (count: number, text: string) => {
    if (count > 0) warnings.push(`${count} ${text}`)
  }
  const [first] = blobs.unfit
  const example = first && `; the first is ${first[0].uuid}:${first[0].version} (${first[1]})`
  warn(
    blobs.unfit.size,
    `schemas and annotations that Gonk accepted do not conform: they wait for a review${example}`,
  )
  warn(
    blobs.missing.size,
    'rejected versions have no bytes in the depot: only their hashes are here',
  )
  warn(
    operations.adrift,
    'accepted versions build on none that was accepted: they are accepted, but not current',
  )
  const objects = versions.filter(({ blob }) => 'name' in blob)
  const isRenamed = ({ blob }: GonkVersion) => 'name' in blob && nameOf(blob) !== blob.name
  warn(
    objects.filter(isRenamed).length,
    'versions have names that are none here: the label gonk.name keeps them',
  )
  const isRetyped = (version: GonkVersion) =>
    'format' in version.blob && mediaTypeOf(version) !== version.blob.format
  warn(
    objects.filter(isRetyped).length,
    'versions have media types that mean something else here: the label gonk.format keeps them',
  )
  return warnings
}

/** Nobody becomes an owner by an import: names of Gonk are no keys. */
function ownerWarnings(
  { users }: Pick<NodeContext, 'users'>,
  replica: Replica,
  { owners }: GonkHistory,
): string[] {
  const warnings: string[] = []
  let unnamed = 0
  for (const owner of owners) {
    const user = users.find(owner)
    if (user !== undefined && replica.tenureOf(user.publicKey) !== undefined) continue
    const name = `${oneLine(owner)} was an owner in Gonk`
    if (warnings.length === OWNERS_NAMED) unnamed++
    else if (user === undefined) warnings.push(`${name}: ask for a key, then use \`owner add\``)
    else
      warnings.push(
        `${name}; the user of that name here is no owner: \`owner add\` ${user.publicKey}`,
      )
  }
  return unnamed > 0 ? [...warnings, `${unnamed} more were owners in Gonk`] : warnings
}
