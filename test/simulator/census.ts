// How far a run came: whether the states in which rules are hard were reached at all. Read from the rows
// of one node, when all have caught up.
import type { OwnerEvent } from '../../src/core/event.ts'
import { type CheckpointId, type EventId, founderIndexOf } from '../../src/core/ids.ts'
import { rules } from '../../src/core/rules.ts'
import type { Replica } from '../../src/replica/replica.ts'
import type { StoredAuthority } from '../../src/replica/stored-authority.ts'
import { rowOfStored } from '../../src/log/object-table.ts'
import type { World } from './world.ts'

/** By what it is a number of. */
export type Census = Readonly<Record<string, number>>

/** Empty when no node is up. */
export async function censusOf(world: World): Promise<Census> {
  const up = world.upNodes().flatMap(({ replica }) => (replica === undefined ? [] : [replica]))
  const replica = up.find(({ anchor }) => anchor === undefined) ?? up[0]
  const authority = await replica?.log.meta<StoredAuthority>('authority')
  if (replica === undefined || authority === undefined) return {}
  const voids = await replica.log.voids()
  return {
    ...(await settledIn(world, replica, voids)),
    ...alarmsOf(up),
    ...ruledIn(world, authority, voids),
    'operations that wait': (await replica.operationsWaiting()).length,
    ...(await objectsIn(replica)),
  }
}

/** From the newest down. */
export async function chainOf({ log, settledBy }: Replica): Promise<CheckpointId[]> {
  const chain: CheckpointId[] = []
  for (let id = settledBy; id !== undefined; id = (await log.checkpoints.body(id))?.previous) {
    chain.push(id)
  }
  return chain
}

async function settledIn({ library, genesis }: World, replica: Replica, voids: Set<EventId>) {
  const { log } = replica
  const chain = await chainOf(replica)
  const bodies = await Promise.all(chain.map((id) => log.checkpoints.body(id)))
  const covered = library.closure(bodies[0]?.heads ?? [])
  const left = new Set(bodies.flatMap((body) => body?.without ?? []))
  const cameLater = (await log.hasMany([...left])).filter(Boolean)
  const open = library.owner.filter(({ id, kind }) => kind !== 'cp' && !covered.has(id))
  const census = {
    'final checkpoints': chain.length,
    'height 3 and more': chain.length >= 3 ? 1 : 0,
    'open events beside them': chain.length > 0 ? open.length : 0,
    'left out, then here': cameLater.length,
  }
  if (chain.length === 0) return census
  const held = (await log.headers(library.owner.map(({ id }) => id))).filter((row) => row)
  const rows = held.flatMap((row) => (row === undefined ? [] : [row]))
  const founding = { ...genesis, founders: genesis.founders }
  const unsettled = rules.authority(founding, rows, genesis.id).voidEvents
  const other = rows.filter(({ id }) => voids.has(id) !== unsettled.has(id))
  const kept = other.filter(({ id }) => covered.has(id))
  return {
    ...census,
    'verdicts kept': kept.length,
    'open, void as it is settled': other.length - kept.length,
  }
}

function alarmsOf(up: readonly Replica[]) {
  const alarms = up.flatMap((replica) => [...replica.alarms])
  const forks = alarms.filter(({ kind }) => kind === 'forked').map(({ ids }) => ids.join())
  const count = (what: string) => alarms.filter(({ kind }) => kind === what).length
  return {
    'forks of the chain': new Set(forks).size,
    'nodes whose chain changed': count('chain-changed'),
    'nodes that saw a wrong root': count('root-mismatch'),
    'nodes with an anchor': up.filter(({ anchor }) => anchor !== undefined).length,
    'other states by anchors': new Set(up.map(({ settledBy }) => settledBy)).size - 1,
  }
}

function ruledIn({ library, genesis }: World, stored: StoredAuthority, voids: Set<EventId>) {
  const { policies = [], tenures } = stored
  const standings = stored.standings.map(([, standing]) => standing)
  const removals = new Set(standings.flatMap(({ removedBy = [] }) => removedBy))
  const leavings = new Set(standings.flatMap((standing) => standing.leavings))
  const gone = new Set(
    stored.standings.flatMap(([id, { removedBy = [] }]) => (removedBy.length > 0 ? [id] : [])),
  )
  const valid = library.owner.filter(({ id }) => !voids.has(id))
  const isIgnored = ({ id, author, tenure, body }: OwnerEvent) =>
    body.kind === 'remove' && body.key === author && !leavings.has(id) && !gone.has(tenure)
  const added = tenures.filter(({ id, exists }) => exists && founderIndexOf(id) === undefined)
  const inEffect = new Set<string>([
    ...removals,
    ...policies.map(({ id }) => id),
    ...added.map(({ id }) => id),
  ])
  const woken = library.owner.filter(
    (event) => inEffect.has(event.id) && isLate(event, valid, genesis.kOwner),
  )
  const isAccept = ({ id, body }: OwnerEvent) =>
    body.kind === 'review' && body.verdict === 'accept' && voids.has(id)
  return {
    'effective policies': policies.length,
    'removals in force': removals.size,
    'leavings in force': leavings.size,
    'ignored leavings': valid.filter(isIgnored).length,
    'operations woken late': woken.length,
    'void accepts': library.owner.filter(isAccept).length,
  }
}

/** Other events came before the endorsement with which there were enough. */
function isLate({ id, depth, author }: OwnerEvent, valid: readonly OwnerEvent[], kOwner: number) {
  const agreeing = valid
    .filter(({ body }) => body.kind === 'endorse' && body.operation === id)
    .sort((a, b) => a.depth - b.depth)
  const keys = new Set([author])
  for (const event of agreeing) {
    if (keys.size >= kOwner) return false
    keys.add(event.author)
    if (keys.size >= kOwner) return event.depth > depth + 1
  }
  return false
}

async function objectsIn({ log }: Replica) {
  const owned = new Set<string>()
  let namesKept = 0
  for (const space of ['file', 'schema'] as const) {
    for await (const [name, { object }] of log.names.allOwned(space)) {
      owned.add(object)
      const [first, second] = await log.names.claimsOn(space, name)
      if (first && second && Buffer.compare(first.date, second.date) > 0) namesKept++
    }
  }
  let shadowed = 0
  let kept = 0
  for await (const [id, stored] of log.objectTable.all()) {
    const { claim } = rowOfStored(id, stored)
    if (claim !== undefined && !owned.has(id)) shadowed++
    if (stored.head !== undefined) kept++
  }
  return { 'shadowed names': shadowed, 'heads kept': kept, 'names kept': namesKept }
}
