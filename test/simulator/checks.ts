// What is checked when everything is delivered.
import { isRejection } from '../../src/core/errors.ts'
import { decodeEvent } from '../../src/core/event-codec.ts'
import type { Event, OwnerEvent } from '../../src/core/event.ts'
import type { EventId } from '../../src/core/ids.ts'
import { homeKey } from '../../src/log/keys.ts'
import type { Replica } from '../../src/replica/replica.ts'
import { finalState } from '../reference/finality.ts'
import { layerA } from '../reference/layer-a.ts'
import type { StateText } from '../reference/state-text.ts'
import { chainOf } from './census.ts'
import { type Digest, digestOf, holdingsOf, keysOf, sortedText, stateTextOf } from './digest.ts'
import { cheapCrypto } from './keys.ts'
import type { SimulatedNode } from './node.ts'
import type { World } from './world.ts'

/** Every owner event is everywhere, and every proposal that one of them names and somebody has. */
export function isCaughtUp({ nodes }: World): boolean {
  const [first] = nodes
  if (first === undefined) return true
  const mine = keysOf(first, 'headers')
  const isSame = nodes.every((node) => {
    if (node.replica === undefined) return false
    const theirs = keysOf(node, 'headers')
    return theirs.length === mine.length && theirs.every((key, i) => key === mine[i])
  })
  if (!isSame || mine.length === 0) return false
  // Whatever is named and not everywhere is on some list of what is wanted.
  const wanted = new Set(nodes.flatMap((node) => keysOf(node, 'wanted')))
  return [...wanted].every(
    (key) =>
      !nodes.some(({ disk }) => disk.rows.get(homeKey('events', Buffer.from(key, 'latin1')))),
  )
}

interface Looked {
  readonly node: SimulatedNode
  readonly replica: Replica
  readonly digest: Digest
}

/** Histories up to which the reference is quick enough. */
const REFERENCE_EVENTS_MAX = 200

/** @returns how many comparisons were made; undefined when something arrived meanwhile. */
export async function compareAll(world: World): Promise<number | undefined> {
  const up = world.upNodes()
  if (up.length < world.nodes.length) return undefined
  const digests = await Promise.all(
    up.map(async (node): Promise<Looked> => {
      const { replica } = node
      if (replica === undefined) throw new Error('a node is down in the quiet')
      return { node, replica, digest: await digestOf(node, replica) }
    }),
  )
  const [first] = digests
  if (first === undefined) return undefined
  if (digests.some(({ digest }) => digest.holdings !== first.digest.holdings)) return undefined
  for (const { node, digest } of digests) checkPool(world, node, digest)
  const events = eventsOf(first.node, first.digest)
  let checks = digests.length + checkAuthority(world, first.digest, events)
  // Whoever trusts another checkpoint may see another state.
  for (const alike of Map.groupBy(digests, ({ digest }) => digest.anchor).values()) {
    const [one, ...others] = alike as [Looked, ...Looked[]]
    for (const { node, digest } of others) compare(world, one.node, one.digest, node, digest)
    const lists = await Promise.all(alike.map(({ replica }) => listOf(replica)))
    if (!alike.every(isStill)) return undefined
    const odd = lists.findIndex((list) => list !== lists[0])
    if (odd > 0) world.fail('digest', `checkpoints are listed as ${lists[0]} and ${lists[odd]}`)
    if (events.length > REFERENCE_EVENTS_MAX) continue
    const found = await foundAt(one)
    if (!isStill(one)) return undefined
    compareWithReference(world, one.digest, found, events)
    checks++
  }
  return checks
}

/** What it holds is what its digest is of. */
function isStill({ node, replica, digest }: Looked): boolean {
  return holdingsOf(node) === digest.holdings && replica.anchor === digest.anchor
}

/** Whether a root was looked at is a matter of what came when. */
async function listOf(replica: Replica): Promise<string> {
  return sortedText((await replica.checkpoints()).map(({ root: _, body: __, ...rest }) => rest))
}

async function foundAt({ replica, digest }: Looked) {
  const state = await stateTextOf(replica, digest)
  const chain = (await chainOf(replica)).reverse()
  const forks = replica.alarms.flatMap(({ kind, ids }) => (kind === 'forked' ? [ids] : []))
  return { state, chain, forks }
}

function textOfForks(forks: readonly (readonly string[])[]): string {
  return forks
    .map((ids) => [...ids].sort().join())
    .sort()
    .join(' ')
}

function compareWithReference(
  world: World,
  { anchor }: Digest,
  found: Awaited<ReturnType<typeof foundAt>>,
  events: Event[],
): void {
  const { chain, forks, state } = finalState(world.genesis, events, anchor)
  const said = `${chain.join()}, forks ${textOfForks(forks)}`
  const heard = `${found.chain.join()}, forks ${textOfForks(found.forks)}`
  if (said !== heard) world.fail('reference', `the chain is ${said}, the nodes say ${heard}`)
  compareStates(world, state, found.state, events)
}

function compareStates(
  world: World,
  state: StateText,
  found: Awaited<ReturnType<typeof stateTextOf>>,
  events: Event[],
): void {
  const { objects, policy: _, unborn: __, ...rest } = state
  // Reviews of a later version decide nothing, whatever they require.
  const isReview = new Set<string>(
    events.flatMap((event) =>
      event.family === 'owner' && event.body.kind === 'review' ? [event.id] : [],
    ),
  )
  const required = Object.entries(found.requirements).filter(([id]) => isReview.has(id))
  const read = { ...found, requirements: Object.fromEntries(required) }
  const rows = Object.entries(objects).map(([id, { heads, purged }]) => [id, { heads, purged }])
  const said = { ...rest, objects: Object.fromEntries(rows) }
  for (const [part, text] of Object.entries(said)) {
    const other = read[part as keyof typeof read]
    if (sortedText(text) === sortedText(other)) continue
    const where = new Set([...Object.keys(text), ...Object.keys(other)])
    const differing = [...where].filter((key) => {
      const [a, b] = [text, other].map((all) => (all as Record<string, unknown>)[key])
      return sortedText(a ?? null) !== sortedText(b ?? null)
    })
    const key = differing[0] ?? ''
    const [a, b] = [text, other].map((all) => sortedText((all as Record<string, unknown>)[key]))
    world.fail('reference', `${part} ${key}: the reference says ${a}, the nodes ${b}`)
  }
}

function compare(world: World, a: SimulatedNode, x: Digest, b: SimulatedNode, y: Digest): void {
  const who = `${a.peerId} and ${b.peerId} have the same events`
  for (const [part, text] of Object.entries(x.parts)) {
    if (y.parts[part] !== text) world.fail('digest', `${who} and not the same ${part}`)
  }
  if (x.root !== y.root) world.fail('digest', `${who} and the roots ${x.root} and ${y.root}`)
}

function checkPool(world: World, { peerId, poolBytesMax }: SimulatedNode, { pool }: Digest): void {
  const { noted, actual } = pool
  if (noted !== actual) {
    world.fail('pool', `${peerId} notes ${noted} bytes in the pool, and has ${actual}`)
  }
  if (actual > poolBytesMax) {
    world.fail('pool', `${peerId} has ${actual} bytes in a pool of ${poolBytesMax}`)
  }
}

/** Histories up to which this is cheap. */
const OWNER_EVENTS_MAX = 60

/** Whatever is accepted is so by a review of it that counts, by the rules as the reference has them. */
function checkAuthority(world: World, { proposals }: Digest, events: readonly Event[]): 0 | 1 {
  const held = events.filter((event) => event.family === 'owner')
  // What is settled counts, whatever came to light later.
  if (held.length > OWNER_EVENTS_MAX || world.library.checkpoints.length > 0) return 0
  const byId = new Map<EventId, OwnerEvent>(held.map((event) => [event.id, event]))
  const reference = layerA(world.genesis, held)
  for (const [proposal, { decisions }] of proposals) {
    for (const decision of decisions) {
      if (decision.status !== 'accepted') continue
      const by = byId.get(decision.by)
      const isAccept =
        by?.body.kind === 'review' &&
        by.body.verdict === 'accept' &&
        by.body.items.some((item) => item.proposal === proposal)
      if (isAccept && reference.valid(by as OwnerEvent)) continue
      world.fail('unauthorised', `${proposal} is accepted by ${decision.by}, which does not count`)
    }
  }
  return 1
}

/** Those that the digest is of; others may have come since. */
function eventsOf({ disk }: SimulatedNode, { owner, proposals }: Digest): Event[] {
  return [...owner, ...proposals.map(([id]) => id)].map((id) => {
    const block = disk.rows.get(homeKey('events', Buffer.from(id, 'hex')))
    const event = block && decodeEvent(block, cheapCrypto.sha256)
    if (event === undefined || isRejection(event)) throw new Error('what is stored can be read')
    return event
  })
}
