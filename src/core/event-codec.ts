// Event ⇄ canonical dag-cbor bytes. Decoding is strict: one event has exactly one encoding, and what
// does not fit the shapes of event.ts within limits.ts is refused with a reason, never repaired.
import * as dagCbor from '@ipld/dag-cbor'
import type { Rejection } from './errors.ts'
import type { Event, Labels, Operation, OwnerBody, ReviewItem } from './event.ts'
import {
  bytesOfHex,
  cidBytesOf,
  compareBytes,
  type DatasetId,
  type EventId,
  eventIdOfBlock,
  eventIdOfCidBytes,
  founderIndexOf,
  type PublicKey,
  type Sha256,
  type TenureId,
} from './ids.ts'
import { limits } from './limits.ts'
import { operationOf, wireOfOperation } from './operation-codec.ts'
import {
  asMap,
  eventId,
  hasControlCharacter,
  labelsOf,
  list,
  onlyKeys,
  optionalText,
  type Plain,
  publicKey,
  Refusal,
  refuse,
  some,
  tenureOf,
  text,
  uint,
} from './wire-fields.ts'

/** What an author states, before it is signed. */
export type Draft =
  | {
      family: 'genesis'
      founders: readonly PublicKey[]
      kOwner: number
      kReview: number
      nonce: Uint8Array
      name?: string
      claimedAtMs: number
      labels?: Labels
    }
  | {
      family: 'proposal'
      dataset: DatasetId
      operations: readonly Operation[]
      name?: string
      claimedAtMs: number
      labels?: Labels
    }
  | {
      family: 'owner'
      dataset: DatasetId
      tenure: TenureId
      depth: number
      parents: readonly EventId[]
      body: Exclude<OwnerBody, { kind: 'unknown' }>
      claimedAtMs: number
      labels?: Labels
    }

const FORMAT_VERSION = 1
const SIGNATURE_BYTES = 64
/** text(3) "sig", bytes(64): always the last entry, because canonical keys are sorted by length. */
const SIGNATURE_ENTRY_BYTES = 4 + 2 + SIGNATURE_BYTES
const SIGNING_CONTEXT = new TextEncoder().encode('gonk-p2p/1\0')

// ---------------------------------------------------------------- encoding

/** @returns the bytes to sign, and how to make the block once they are signed. */
export function formatEvent(
  draft: Draft,
  author: PublicKey,
  sha256: Sha256,
): { message: Uint8Array; seal: (signature: Uint8Array) => Uint8Array } {
  const map = wireOf(draft, author)
  const unsigned = dagCbor.encode(map)
  const dataset = draft.family === 'genesis' ? undefined : draft.dataset
  return {
    message: signedMessage(String(map['k']), dataset, unsigned, sha256),
    seal: (signature) => dagCbor.encode({ ...map, sig: signature }),
  }
}

function wireOf(draft: Draft, author: PublicKey): Plain {
  const common = {
    v: FORMAT_VERSION,
    a: bytesOfHex(author),
    t: draft.claimedAtMs,
    ...(draft.labels && { l: draft.labels }),
  }
  if (draft.family === 'genesis') {
    const { kOwner, kReview, nonce, name } = draft
    const founders = draft.founders.map(bytesOfHex)
    return {
      ...common,
      k: 'genesis',
      d: null,
      b: { founders, kOwner, kReview, nonce, ...some({ name }) },
    }
  }
  const d = cidBytesOf(draft.dataset)
  if (draft.family === 'proposal') {
    const ops = draft.operations.map(wireOfOperation)
    return { ...common, k: 'propose', d, b: { ops, ...some({ name: draft.name }) } }
  }
  return {
    ...common,
    k: draft.body.kind,
    d,
    w: founderIndexOf(draft.tenure) ?? cidBytesOf(draft.tenure as string as EventId),
    h: draft.depth,
    s: draft.parents.map(cidBytesOf),
    b: wireOfBody(draft.body),
  }
}

function wireOfBody(body: Exclude<OwnerBody, { kind: 'unknown' }>): Plain {
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
  }
}

// ---------------------------------------------------------------- signing

/**
 * What an author signs: "gonk-p2p/1" 0 kind 0 dataset sha2-256(block without `sig`), so that no
 * signature can stand for another protocol, kind or dataset. The dataset is 36 bytes, or none for a genesis.
 */
function signedMessage(
  kind: string,
  dataset: DatasetId | undefined,
  unsigned: Uint8Array,
  sha256: Sha256,
): Uint8Array {
  const parts = [
    SIGNING_CONTEXT,
    new TextEncoder().encode(`${kind}\0`),
    dataset === undefined ? new Uint8Array(0) : cidBytesOf(dataset),
    sha256(unsigned),
  ]
  const message = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let offset = 0
  for (const part of parts) {
    message.set(part, offset)
    offset += part.length
  }
  return message
}

/** The signature of a decoded event and the bytes it must cover. */
export function signatureOf(
  event: Event,
  sha256: Sha256,
): { key: Uint8Array; message: Uint8Array; signature: Uint8Array } {
  const { block } = event
  const end = block.length - SIGNATURE_ENTRY_BYTES
  // A copy also of a Buffer, whose own slice would share the bytes.
  const unsigned = new Uint8Array(block.subarray(0, end))
  unsigned[0] = (unsigned[0] as number) - 1
  const dataset = event.family === 'genesis' ? undefined : event.dataset
  return {
    key: bytesOfHex(event.author),
    message: signedMessage(event.kind, dataset, unsigned, sha256),
    signature: block.subarray(block.length - SIGNATURE_BYTES),
  }
}

// ---------------------------------------------------------------- decoding

/** Cheapest check first: size, then form, then shape. The signature is not checked here. */
export function decodeEvent(block: Uint8Array, sha256: Sha256): Event | Rejection {
  if (block.length > limits.eventBytesMax) {
    return { refused: 'too-large', what: `${block.length} bytes in one event` }
  }
  try {
    const wire = decodeCanonical(block)
    return eventOf(wire, block, eventIdOfBlock(block, sha256))
  } catch (error) {
    if (error instanceof Refusal) return { refused: error.reason, what: error.message }
    throw error
  }
}

function decodeCanonical(block: Uint8Array): Plain {
  let value: unknown
  let again: Uint8Array
  try {
    value = dagCbor.decode(block)
    again = dagCbor.encode(value)
  } catch (error) {
    refuse(`not dag-cbor: ${(error as Error).message}`, 'not-canonical')
  }
  if (compareBytes(again, block) !== 0) {
    refuse('not the canonical encoding', 'not-canonical')
  }
  checkPlain(value, 0)
  return asMap(value, 'event')
}

/** No floats, big integers, links or deep nesting, also where this version reads nothing. */
function checkPlain(value: unknown, depth: number): void {
  if (depth > limits.eventDepthMax) refuse('nested too deep', 'limit-exceeded')
  if (typeof value === 'string') checkText(value)
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return
  if (value instanceof Uint8Array || Number.isSafeInteger(value)) return
  if (Array.isArray(value)) {
    for (const entry of value) checkPlain(entry, depth + 1)
    return
  }
  if (typeof value !== 'object' || Object.getPrototypeOf(value) !== Object.prototype) {
    refuse('a value that events may not hold')
  }
  for (const [key, entry] of Object.entries(value)) {
    checkText(key)
    checkPlain(entry, depth + 1)
  }
}

/** Many decoders drop a byte order mark: a text that begins with one has no form all agree on. */
function checkText(text: string): void {
  if (text.startsWith('\ufeff')) refuse('a byte order mark', 'not-canonical')
}

function eventOf(wire: Plain, block: Uint8Array, id: EventId): Event {
  const version = uint(wire['v'], 'v')
  if (version < FORMAT_VERSION) refuse('format version 0')
  const kind = text(wire['k'], 'k', 64)
  if (!(wire['sig'] instanceof Uint8Array) || wire['sig'].length !== SIGNATURE_BYTES) refuse('sig')
  const labels = labelsOf(wire['l'])
  const signed = {
    id,
    block,
    author: publicKey(wire['a'], 'a'),
    claimedAtMs: uint(wire['t'], 't'),
    ...(labels && { labels }),
  }
  if (kind === 'genesis' || kind === 'propose') {
    if (version !== FORMAT_VERSION) refuse(`format version ${version}`)
    onlyKeys(wire, ['v', 'k', 'd', 'a', 'b', 't', 'sig'], ['l'], kind)
  } else {
    onlyKeys(wire, ['v', 'k', 'd', 'a', 'b', 't', 'w', 'h', 's', 'sig'], ['l'], kind)
  }
  if (kind === 'genesis') {
    if (wire['d'] !== null) refuse('genesis names a dataset')
    return { ...signed, family: 'genesis', kind, ...genesisOf(asMap(wire['b'], 'b')) }
  }
  const dataset = eventId(wire['d'], 'd')
  if (kind === 'propose') {
    const body = asMap(wire['b'], 'b')
    onlyKeys(body, ['ops'], ['name'], 'propose')
    return {
      ...signed,
      family: 'proposal',
      kind,
      dataset,
      operations: list(body['ops'], 'ops', 1, limits.operationsMax).map(operationOf),
      ...optionalText(body, 'name', limits.textBytesMax),
    }
  }
  const parents = list(wire['s'], 's', 1, limits.parentsMax).map((parent) => eventId(parent, 's'))
  if (parents.some((parent, i) => i > 0 && parent <= (parents[i - 1] as EventId))) {
    refuse('parents are not sorted and unique')
  }
  const depth = uint(wire['h'], 'h')
  if (depth < 1) refuse('depth 0 is the genesis')
  return {
    ...signed,
    family: 'owner',
    kind,
    dataset,
    tenure: tenureOf(wire['w']),
    depth,
    parents,
    body: version === FORMAT_VERSION ? bodyOf(kind, asMap(wire['b'], 'b')) : { kind: 'unknown' },
  }
}

function genesisOf(body: Plain) {
  onlyKeys(body, ['founders', 'kOwner', 'kReview', 'nonce'], ['name'], 'genesis')
  const founders = list(body['founders'], 'founders', 1, limits.foundersMax).map((key) =>
    publicKey(key, 'founders'),
  )
  if (new Set(founders).size !== founders.length) refuse('a founder is listed twice')
  const kOwner = uint(body['kOwner'], 'kOwner')
  const kReview = uint(body['kReview'], 'kReview')
  if (kOwner !== 1 || kReview !== 1) refuse('thresholds above 1 are not part of this version')
  if (!(body['nonce'] instanceof Uint8Array) || body['nonce'].length !== 16) refuse('nonce')
  return { founders, kOwner, kReview, ...optionalText(body, 'name', limits.textBytesMax) }
}

function bodyOf(kind: string, body: Plain): OwnerBody {
  switch (kind) {
    case 'add': {
      onlyKeys(body, ['key'], ['proof', 'name'], kind)
      const proof = body['proof']
      if (
        proof !== undefined &&
        !(proof instanceof Uint8Array && proof.length === SIGNATURE_BYTES)
      ) {
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
    default:
      return { kind: 'unknown' }
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
