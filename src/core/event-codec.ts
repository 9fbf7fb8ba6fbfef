// Event ⇄ canonical dag-cbor bytes. Decoding is strict: one event has exactly one encoding, and what
// does not fit the shapes of event.ts within limits.ts is refused with a reason, never repaired.
import * as dagCbor from '@ipld/dag-cbor'
import { quoted, type Rejection } from './errors.ts'
import { bodyOf, genesisOf, wireOfBody } from './body-codec.ts'
import type { Event, Labels, Operation, OwnerBody } from './event.ts'
import {
  bytesOfHex,
  cidBytesOf,
  compareBytes,
  type DatasetId,
  type EventId,
  eventIdOfBlock,
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
  labelsOf,
  list,
  onlyKeys,
  optionalText,
  type Plain,
  publicKey,
  Refusal,
  refuse,
  some,
  sortedIds,
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
    refuse(`not dag-cbor: ${quoted((error as Error).message)}`, 'not-canonical')
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
    onlyKeys(wire, ['v', 'k', 'd', 'a', 'b', 't', 'w', 'h', 's', 'sig'], ['l'], 'owner event')
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
  const parents = sortedIds(wire['s'], 's', 1, limits.parentsMax)
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
