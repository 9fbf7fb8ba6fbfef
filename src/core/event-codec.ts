// Event ⇄ canonical dag-cbor bytes. Decoding is strict: one event has exactly one encoding, and what
// does not fit the shapes of event.ts within limits.ts is refused with a reason, never repaired.
import * as dagCbor from '@ipld/dag-cbor'
import type { Rejection, RejectionReason } from './errors.ts'
import type {
  AnnotationValue,
  Event,
  FileValue,
  Labels,
  Operation,
  OwnerBody,
  ReviewItem,
  Value,
} from './event.ts'
import {
  bytesOfHex,
  CID_BYTES,
  cidBytesOf,
  compareBytes,
  type DatasetId,
  type EventId,
  eventIdOfBlock,
  eventIdOfCidBytes,
  founderIndexOf,
  founderTenure,
  hexOf,
  type ObjectId,
  type PublicKey,
  type Sha256,
  type TenureId,
  type VersionId,
} from './ids.ts'
import { limits } from './limits.ts'
import { namePathProblem } from './names.ts'

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

type Plain = Record<string, unknown>

const FORMAT_VERSION = 1
const SIGNATURE_BYTES = 64
const KEY_BYTES = 32
/** text(3) "sig", bytes(64): always the last entry, because canonical keys are sorted by length. */
const SIGNATURE_ENTRY_BYTES = 4 + 2 + SIGNATURE_BYTES
const SIGNING_CONTEXT = new TextEncoder().encode('gonk-p2p/1\0')

class Refusal extends Error {
  readonly reason: RejectionReason
  constructor(reason: RejectionReason, what: string) {
    super(what)
    this.reason = reason
  }
}

function refuse(what: string, reason: RejectionReason = 'malformed'): never {
  throw new Refusal(reason, what)
}

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
    return { ...common, k: 'genesis', d: null, b: { founders, kOwner, kReview, nonce, ...some({ name }) } }
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
        items: body.items.map((item) => ({ p: cidBytesOf(item.proposal), ...some({ r: item.ranges }) })),
        ...some({ reason: body.reason }),
      }
    case 'release':
      return { tag: body.tag, root: body.root, ...some({ text: body.text }) }
  }
}

function wireOfOperation(operation: Operation): Plain {
  const labels = some({ l: operation.labels })
  switch (operation.op) {
    case 'create':
      return { o: 'create', ...wireOfValue(operation.value), ...labels }
    case 'update':
      return {
        o: 'update',
        x: bytesOfHex(operation.object),
        b: operation.base.map(wireOfVersion),
        ...wireOfValue(operation.value),
        ...labels,
      }
    case 'delete':
      return { o: 'delete', x: bytesOfHex(operation.object), b: operation.base.map(wireOfVersion), ...labels }
    case 'purge':
      return { o: 'purge', x: bytesOfHex(operation.object), ...labels }
  }
}

function wireOfValue(value: Value): Plain {
  if (value.type === 'file') {
    const { name, mediaType, sizeBytes, content, meta } = value
    return { n: name, m: mediaType, z: sizeBytes, c: content, ...some({ j: meta }) }
  }
  return {
    of: value.targets.map(wireOfVersion),
    s: wireOfVersion(value.schema),
    z: value.sizeBytes,
    ...some({ i: value.inline, c: value.content }),
  }
}

function wireOfVersion(version: VersionId): [Uint8Array, number] {
  return [cidBytesOf(version.proposal), version.index]
}

/** Leaves out what is undefined, which dag-cbor cannot say. */
function some<T extends Plain>(fields: T): Plain {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
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
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return
  if (value instanceof Uint8Array || Number.isSafeInteger(value)) return
  if (Array.isArray(value)) {
    for (const entry of value) checkPlain(entry, depth + 1)
    return
  }
  if (typeof value !== 'object' || Object.getPrototypeOf(value) !== Object.prototype) {
    refuse('a value that events may not hold')
  }
  for (const entry of Object.values(value)) checkPlain(entry, depth + 1)
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
      if (proof !== undefined && !(proof instanceof Uint8Array && proof.length === SIGNATURE_BYTES)) {
        refuse('proof')
      }
      const key = publicKey(body['key'], 'key')
      return { kind, key, ...(proof && { proof }), ...optionalText(body, 'name', limits.textBytesMax) }
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
    const ranges = list(item['r'], 'r', 1, limits.reviewRangesMax).map((range): [number, number] => {
      const [from, to] = list(range, 'r', 2, 2)
      return [uint(from, 'r'), uint(to, 'r')]
    })
    rangeCount += ranges.length
    if (rangeCount > limits.reviewRangesMax) refuse('ranges in one review', 'limit-exceeded')
    ranges.forEach(([from, to], i) => {
      const after = i === 0 ? -1 : (ranges[i - 1] as [number, number])[1]
      if (from <= after || to < from || to >= limits.operationsMax) refuse('ranges are not in order')
    })
    return { proposal, ranges }
  })
}

function operationOf(value: unknown): Operation {
  const wire = asMap(value, 'op')
  const labels = labelsOf(wire['l'])
  const labelled = labels ? { labels } : {}
  switch (wire['o']) {
    case 'create':
      return { op: 'create', value: valueOf(wire, []), ...labelled }
    case 'update':
      return {
        op: 'update',
        object: objectId(wire['x']),
        base: versions(wire['b'], 'b', limits.basesMax),
        value: valueOf(wire, ['x', 'b']),
        ...labelled,
      }
    case 'delete':
      onlyKeys(wire, ['o', 'x', 'b'], ['l'], 'delete')
      return {
        op: 'delete',
        object: objectId(wire['x']),
        base: versions(wire['b'], 'b', limits.basesMax),
        ...labelled,
      }
    case 'purge':
      onlyKeys(wire, ['o', 'x'], ['l'], 'purge')
      return { op: 'purge', object: objectId(wire['x']), ...labelled }
    default:
      return refuse('operation of an unknown kind')
  }
}

function valueOf(wire: Plain, alsoKeys: string[]): FileValue | AnnotationValue {
  if (wire['n'] !== undefined) {
    onlyKeys(wire, ['o', ...alsoKeys, 'n', 'm', 'z', 'c'], ['j', 'l'], 'file')
    const name = text(wire['n'], 'n', limits.nameBytesMax)
    const problem = namePathProblem(name)
    if (problem !== undefined) refuse(`name: ${problem}`)
    const mediaType = text(wire['m'], 'm', limits.mediaTypeBytesMax)
    if (!/^[\x20-\x7e]+$/.test(mediaType)) refuse('media type')
    const meta = wire['j'] === undefined ? undefined : text(wire['j'], 'j', limits.metaBytesMax)
    return {
      type: 'file',
      name,
      mediaType,
      sizeBytes: uint(wire['z'], 'z'),
      content: contentCid(wire['c']),
      ...(meta !== undefined && { meta }),
    }
  }
  onlyKeys(wire, ['o', ...alsoKeys, 'of', 's', 'z'], ['i', 'c', 'l'], 'annotation')
  const inline = wire['i']
  if ((inline === undefined) === (wire['c'] === undefined)) refuse('annotation needs one of i and c')
  const sizeBytes = uint(wire['z'], 'z')
  const annotation = {
    type: 'annotation' as const,
    targets: versions(wire['of'], 'of', limits.targetsMax),
    schema: versionOf(wire['s'], 's'),
    sizeBytes,
  }
  if (inline === undefined) return { ...annotation, content: contentCid(wire['c']) }
  if (!(inline instanceof Uint8Array) || inline.length > limits.inlineBytesMax) refuse('inline')
  if (inline.length !== sizeBytes) refuse('inline size')
  return { ...annotation, inline }
}

// ---------------------------------------------------------------- fields

function asMap(value: unknown, where: string): Plain {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse(where)
  if (value instanceof Uint8Array) refuse(where)
  return value as Plain
}

function onlyKeys(map: Plain, required: string[], optional: string[], where: string): void {
  for (const key of required) if (!Object.hasOwn(map, key)) refuse(`${where}: ${key} is missing`)
  for (const key of Object.keys(map)) {
    if (!required.includes(key) && !optional.includes(key)) refuse(`${where}: unknown field`)
  }
}

function list(value: unknown, where: string, min: number, max: number): unknown[] {
  if (!Array.isArray(value) || value.length < min) refuse(where)
  if (value.length > max) refuse(`${where}: more than ${max}`, 'limit-exceeded')
  return value
}

function uint(value: unknown, where: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) refuse(where)
  return value as number
}

function text(value: unknown, where: string, bytesMax: number): string {
  if (typeof value !== 'string') refuse(where)
  if (new TextEncoder().encode(value).length > bytesMax) refuse(`${where}: too long`, 'limit-exceeded')
  return value
}

function optionalText<K extends string>(map: Plain, key: K, bytesMax: number) {
  if (map[key] === undefined) return {} as { [P in K]?: string }
  return { [key]: text(map[key], key, bytesMax) } as { [P in K]?: string }
}

function hasControlCharacter(value: string): boolean {
  for (const character of value) {
    const code = character.codePointAt(0) as number
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return true
  }
  return false
}

function publicKey(value: unknown, where: string): PublicKey {
  if (!(value instanceof Uint8Array) || value.length !== KEY_BYTES) refuse(where)
  return hexOf(value) as PublicKey
}

function eventId(value: unknown, where: string): EventId {
  return eventIdOfCidBytes(value) ?? refuse(where)
}

function objectId(value: unknown): ObjectId {
  if (!(value instanceof Uint8Array) || value.length !== 32) refuse('x')
  return hexOf(value) as ObjectId
}

function versionOf(value: unknown, where: string): VersionId {
  const [proposal, index] = list(value, where, 2, 2)
  const version = { proposal: eventId(proposal, where), index: uint(index, where) }
  if (version.index >= limits.operationsMax) refuse(where)
  return version
}

function versions(value: unknown, where: string, max: number): VersionId[] {
  const all = list(value, where, 1, max).map((entry) => versionOf(entry, where))
  if (new Set(all.map((v) => `${v.proposal}:${v.index}`)).size !== all.length) refuse(`${where}: twice`)
  return all
}

/** CIDv1, raw or dag-pb, sha2-256. */
function contentCid(value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length !== CID_BYTES) refuse('c')
  const [version, codec, hash, length] = value
  if (version !== 1 || (codec !== 0x55 && codec !== 0x70) || hash !== 0x12 || length !== 32) refuse('c')
  return value
}

function tenureOf(value: unknown): TenureId {
  if (value instanceof Uint8Array) return eventId(value, 'w') as string as TenureId
  const index = uint(value, 'w')
  if (index >= limits.foundersMax) refuse('w')
  return founderTenure(index)
}

function labelsOf(value: unknown): Labels | undefined {
  if (value === undefined) return undefined
  const labels = asMap(value, 'l')
  for (const entry of Object.values(labels)) if (typeof entry !== 'string') refuse('l')
  if (dagCbor.encode(labels).length > limits.labelsBytesMax) refuse('l: too long', 'limit-exceeded')
  return labels as Labels
}
