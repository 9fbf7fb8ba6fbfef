// Makers of keys, events and histories for tests. Nothing here is signed: the rules of core read no
// bytes.
import { createHash } from 'node:crypto'
import type {
  CheckpointBody,
  FileValue,
  Genesis,
  Operation,
  OwnerBody,
  OwnerEvent,
  Proposal,
  ReviewItem,
  Verdict,
} from '../src/core/event.ts'
import type { Event } from '../src/core/event.ts'
import {
  cidBytesOf,
  type EventId,
  founderTenure,
  hexOf,
  type PublicKey,
  type Sha256,
  type TenureId,
  type VersionId,
} from '../src/core/ids.ts'

export const sha256: Sha256 = (bytes) => new Uint8Array(createHash('sha256').update(bytes).digest())

const idOf = (text: string) => hexOf(sha256(new TextEncoder().encode(text)))

/** A key that belongs to nobody, the same for the same name. */
export function keyNamed(name: string): PublicKey {
  return idOf(`key ${name}`) as PublicKey
}

export { headerOf } from '../src/core/owner-header.ts'

export function isOwnerEvent(event: Event): event is OwnerEvent {
  return event.family === 'owner'
}

export function file(name: string, content = name, mediaType = 'text/plain'): FileValue {
  const RAW = 0x55
  const cid = cidBytesOf(idOf(`content ${content}`) as EventId).with(1, RAW)
  return { type: 'file', name, mediaType, sizeBytes: content.length, content: cid }
}

const signedBy = (author: PublicKey) => ({ block: new Uint8Array(0), author, claimedAtMs: 0 })

/** `A`: the newest tenure of that key; an add event: the tenure it created. */
export type By = string | OwnerEvent
/** Parents; `genesis` for the smallest past. Left out: all heads. */
export type Parent = OwnerEvent | Genesis

export interface History {
  readonly genesis: Genesis
  /** In the order made, parents first; proposals included. */
  readonly events: Event[]
  add(by: By, who: string, ...parents: Parent[]): OwnerEvent
  remove(by: By, who: string, ...parents: Parent[]): OwnerEvent
  accept(by: By, items: Items, ...parents: Parent[]): OwnerEvent
  reject(by: By, items: Items, ...parents: Parent[]): OwnerEvent
  release(by: By, tag: string, ...parents: Parent[]): OwnerEvent
  endorse(by: By, operation: OwnerEvent, ...parents: Parent[]): OwnerEvent
  policy(by: By, kReview: number, ...parents: Parent[]): OwnerEvent
  vote(by: By, checkpoint: CheckpointBody, ...parents: Parent[]): OwnerEvent
  /** An event that only acknowledges. */
  noop(by: By, ...parents: Parent[]): OwnerEvent
  write(tenure: TenureId, author: PublicKey, body: OwnerBody, parents: Parent[]): OwnerEvent
  propose(...operations: Operation[]): Proposal
}

export type Items = Proposal | ReviewItem[]

/** A dataset with these founders, most senior first. `salt` changes every id, and so every tie. */
export function history(
  founders: readonly string[],
  salt = '',
  { kOwner = 1, kReview = 1 } = {},
): History {
  const genesis: Genesis = {
    ...signedBy(keyNamed(founders[0] ?? '')),
    id: idOf(`genesis ${founders.join(' ')} ${salt}`) as EventId,
    family: 'genesis',
    kind: 'genesis',
    founders: founders.map(keyNamed),
    kOwner,
    kReview,
  }
  const events: Event[] = []
  const heads = new Set<Parent>()
  const nextId = (what: string) => idOf(`${what} ${events.length} ${genesis.id}`) as EventId

  const tenureFor = (by: By): [TenureId, PublicKey] => {
    if (typeof by !== 'string') {
      if (by.body.kind !== 'add') throw new Error('not an add')
      return [by.id as string as TenureId, by.body.key]
    }
    const key = keyNamed(by)
    const add = events.findLast(
      (e) => isOwnerEvent(e) && e.body.kind === 'add' && e.body.key === key,
    )
    if (add !== undefined) return [add.id as string as TenureId, key]
    const index = founders.indexOf(by)
    if (index === -1) throw new Error(`${by} is nobody`)
    return [founderTenure(index), key]
  }

  const write: History['write'] = (tenure, author, body, given) => {
    const parents = given.length > 0 ? given : heads.size > 0 ? [...heads] : [genesis]
    const event: OwnerEvent = {
      ...signedBy(author),
      id: nextId(body.kind),
      family: 'owner',
      dataset: genesis.id,
      kind: body.kind === 'unknown' ? 'noop' : body.kind,
      tenure,
      depth: 1 + Math.max(...parents.map((p) => (p.family === 'owner' ? p.depth : 0))),
      parents: [...new Set(parents.map((p) => p.id))].sort(),
      body,
    }
    for (const parent of parents) heads.delete(parent)
    heads.add(event)
    events.push(event)
    return event
  }
  const by = (who: By, body: OwnerBody, parents: Parent[]) => {
    const [tenure, author] = tenureFor(who)
    return write(tenure, author, body, parents)
  }
  const review = (verdict: Verdict, who: By, items: Items, parents: Parent[]) => {
    const list = Array.isArray(items) ? items : [{ proposal: items.id }]
    return by(who, { kind: 'review', verdict, items: list }, parents)
  }
  return {
    genesis,
    events,
    write,
    add: (who, key, ...parents) => by(who, { kind: 'add', key: keyNamed(key) }, parents),
    remove: (who, key, ...parents) => by(who, { kind: 'remove', key: keyNamed(key) }, parents),
    accept: (who, items, ...parents) => review('accept', who, items, parents),
    reject: (who, items, ...parents) => review('reject', who, items, parents),
    release: (who, tag, ...parents) =>
      by(who, { kind: 'release', tag, root: cidBytesOf(genesis.id) }, parents),
    endorse: (who, operation, ...parents) =>
      by(who, { kind: 'endorse', operation: operation.id }, parents),
    vote: (who, checkpoint, ...parents) => by(who, { kind: 'cp', checkpoint }, parents),
    policy: (who, asked, ...parents) => by(who, { kind: 'policy', kReview: asked }, parents),
    noop: (who, ...parents) => by(who, { kind: 'unknown' }, parents),
    propose: (...operations) => {
      const proposal: Proposal = {
        ...signedBy(keyNamed('stranger')),
        id: nextId('propose'),
        family: 'proposal',
        kind: 'propose',
        dataset: genesis.id,
        operations,
      }
      events.push(proposal)
      return proposal
    },
  }
}

export function versionOf(proposal: Proposal | EventId, index = 0): VersionId {
  return { proposal: typeof proposal === 'string' ? proposal : proposal.id, index }
}
