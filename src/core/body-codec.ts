// What events say, their bodies ⇄ dag-cbor fields.
import type { CheckpointBody, OwnerBody, ReviewItem } from './event.ts'
import {
  bytesOfHex,
  type CheckpointId,
  cidBytesOf,
  type EventId,
  eventIdOfCidBytes,
} from './ids.ts'
import { limits } from './limits.ts'
import {
  asMap,
  eventId,
  hasControlCharacter,
  list,
  onlyKeys,
  optionalText,
  type Plain,
  publicKey,
  refuse,
  some,
  sortedIds,
  text,
  uint,
} from './wire-fields.ts'

const PROOF_BYTES = 64

export function wireOfBody(body: Exclude<OwnerBody, { kind: 'unknown' }>): Plain {
  switch (body.kind) {
    case 'add':
      return { key: bytesOfHex(body.key), ...some({ proof: body.proof, name: body.name }) }
    case 'remove':
      return { key: bytesOfHex(body.key) }
    case 'review':
      return {
        verdict: body.verdict,
        items: body.items.map((item) => ({
          p: cidBytesOf(item.proposal),
          ...some({ r: item.ranges }),
        })),
        ...some({ reason: body.reason }),
      }
    case 'release':
      return { tag: body.tag, root: body.root, ...some({ text: body.text }) }
    case 'endorse':
      return { op: cidBytesOf(body.operation) }
    case 'policy':
      return { kReview: body.kReview }
    case 'cp':
      return wireOfCheckpoint(body.checkpoint)
  }
}

/** As in the body of a vote and, with version and dataset, in the block that a checkpoint is named by. */
export function wireOfCheckpoint(checkpoint: CheckpointBody): Plain {
  const { height, previous, heads, without, root } = checkpoint
  return {
    height,
    prev: previous === undefined ? null : cidBytesOf(previous),
    heads: heads.map(cidBytesOf),
    without: without.map(cidBytesOf),
    root,
  }
}

/** Throws Refusal. */
export function genesisOf(body: Plain) {
  onlyKeys(body, ['founders', 'kOwner', 'kReview', 'nonce'], ['name'], 'genesis')
  const founders = list(body['founders'], 'founders', 1, limits.foundersMax).map((key) =>
    publicKey(key, 'founders'),
  )
  if (new Set(founders).size !== founders.length) refuse('a founder is listed twice')
  const kOwner = uint(body['kOwner'], 'kOwner')
  const kReview = uint(body['kReview'], 'kReview')
  if (kOwner < 1 || kOwner > founders.length) refuse('kOwner: 1 to the number of founders')
  if (kReview < 1 || kReview > kOwner) refuse('kReview: 1 to kOwner')
  if (!(body['nonce'] instanceof Uint8Array) || body['nonce'].length !== 16) refuse('nonce')
  return { founders, kOwner, kReview, ...optionalText(body, 'name', limits.textBytesMax) }
}

/** The body of an owner event of this format version. Throws Refusal. */
export function bodyOf(kind: string, body: Plain): OwnerBody {
  switch (kind) {
    case 'add': {
      onlyKeys(body, ['key'], ['proof', 'name'], kind)
      const proof = body['proof']
      if (proof !== undefined && !(proof instanceof Uint8Array && proof.length === PROOF_BYTES)) {
        refuse('proof')
      }
      const key = publicKey(body['key'], 'key')
      return {
        kind,
        key,
        ...(proof && { proof }),
        ...optionalText(body, 'name', limits.textBytesMax),
      }
    }
    case 'remove':
      onlyKeys(body, ['key'], [], kind)
      return { kind, key: publicKey(body['key'], 'key') }
    case 'review': {
      onlyKeys(body, ['verdict', 'items'], ['reason'], kind)
      const verdict = body['verdict']
      if (verdict !== 'accept' && verdict !== 'reject') refuse('verdict')
      const items = reviewItemsOf(body['items'])
      return { kind, verdict, items, ...optionalText(body, 'reason', limits.textBytesMax) }
    }
    case 'release': {
      onlyKeys(body, ['tag', 'root'], ['text'], kind)
      if (eventIdOfCidBytes(body['root']) === undefined) refuse('root')
      const tag = text(body['tag'], 'tag', limits.tagBytesMax)
      if (tag === '' || hasControlCharacter(tag)) refuse('tag')
      const root = body['root'] as Uint8Array
      return { kind, tag, root, ...optionalText(body, 'text', limits.textBytesMax) }
    }
    case 'endorse':
      onlyKeys(body, ['op'], [], kind)
      return { kind, operation: eventId(body['op'], 'op') }
    case 'policy': {
      onlyKeys(body, ['kReview'], [], kind)
      const kReview = uint(body['kReview'], 'kReview')
      if (kReview < 1 || kReview > limits.foundersMax) refuse('kReview')
      return { kind, kReview }
    }
    case 'cp':
      return { kind, checkpoint: checkpointOf(body) }
    default:
      return { kind: 'unknown' }
  }
}

function checkpointOf(body: Plain): CheckpointBody {
  onlyKeys(body, ['height', 'prev', 'heads', 'without', 'root'], [], 'cp')
  const height = uint(body['height'], 'height')
  if (height < 1) refuse('height 0 is the genesis')
  if ((body['prev'] === null) !== (height === 1)) refuse('prev')
  const root = body['root']
  if (eventIdOfCidBytes(root) === undefined) refuse('root')
  return {
    height,
    ...(height > 1 && { previous: eventId(body['prev'], 'prev') as string as CheckpointId }),
    heads: sortedIds(body['heads'], 'heads', 1, limits.parentsMax),
    without: sortedIds(body['without'], 'without', 0, limits.withoutMax),
    root: root as Uint8Array,
  }
}

function reviewItemsOf(value: unknown): ReviewItem[] {
  let rangeCount = 0
  const seen = new Set<EventId>()
  return list(value, 'items', 1, limits.reviewItemsMax).map((entry) => {
    const item = asMap(entry, 'item')
    onlyKeys(item, ['p'], ['r'], 'item')
    const proposal = eventId(item['p'], 'p')
    if (seen.has(proposal)) refuse('a proposal is named twice in one review')
    seen.add(proposal)
    if (item['r'] === undefined) return { proposal }
    const ranges = list(item['r'], 'r', 1, limits.reviewRangesMax).map(
      (range): [number, number] => {
        const [from, to] = list(range, 'r', 2, 2)
        return [uint(from, 'r'), uint(to, 'r')]
      },
    )
    rangeCount += ranges.length
    if (rangeCount > limits.reviewRangesMax) refuse('ranges in one review', 'limit-exceeded')
    ranges.forEach(([from, to], i) => {
      const after = i === 0 ? -1 : (ranges[i - 1] as [number, number])[1]
      if (from <= after || to < from || to >= limits.operationsMax)
        refuse('ranges are not in order')
    })
    return { proposal, ranges }
  })
}
