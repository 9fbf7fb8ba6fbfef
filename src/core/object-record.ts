// What the state tree holds for one object: every accepted version and what follows from them. Content
// is linked, so a walk from the root reaches it; events are named by byte strings, so it stops there.
import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { GonkError, isRejection } from './errors.ts'
import type { AnnotationValue, FileValue } from './event.ts'
import {
  cidBytesOf,
  type EventId,
  eventIdOfCidBytes,
  type ObjectId,
  type VersionId,
} from './ids.ts'
import { limits } from './limits.ts'
import type { NameClaim, ObjectRow, Version } from './state.ts'
import { type BlockSink, decodeCanonical, type NodeSource, putValue } from './trie-node.ts'

type Plain = Record<string, unknown>

/** More versions, or more bytes of them, are kept in linked blocks, each as full as this allows. */
const CHUNK_VERSIONS_MAX = 512
const CHUNK_BYTES_MAX = 256 * 1024
/** So few versions fit a chunk however large they are: 16 KiB of body, or name and meta, and ids. */
const SURELY_SMALL_VERSIONS = 8
const DATE_BYTES = 80
/** `st` of a version: its base chain is not accepted; it is built on; nothing builds on it. */
const WAITING = 0
const SUPERSEDED = 1
const HEAD = 2

/** The value of `row.id` in the state tree. Long version lists go to blocks of their own through `put`. */
export async function objectRecordOf(row: ObjectRow, sink: BlockSink): Promise<unknown> {
  const active = new Set(row.active)
  const heads = new Set(row.heads)
  const versions = row.versions.map((version, i) => ({
    ...wireOfVersion(version, row.purged),
    st: heads.has(i) ? HEAD : active.has(i) ? SUPERSEDED : WAITING,
  }))
  return {
    status: statusOf(row),
    head: row.heads[0] ?? null,
    versions: await versionList(versions, sink),
    ...(row.claim && { claim: [row.claim.space, row.claim.name, row.claim.date] }),
  }
}

function statusOf({ purged, heads, versions }: ObjectRow): string {
  if (purged) return 'purged'
  const [head] = heads
  if (head === undefined) return 'waiting'
  return versions[head]?.op === 'delete' ? 'deleted' : 'live'
}

function wireOfVersion({ id, date, op, base, value }: Version, purged: boolean): Plain {
  return {
    id: wireOfId(id),
    at: date,
    op,
    ...(base.length > 0 && { base: base.map(wireOfId) }),
    ...(value && !purged && { value: wireOfValue(value) }),
  }
}

function wireOfId({ proposal, index }: VersionId): [Uint8Array, number] {
  return [cidBytesOf(proposal), index]
}

/** The field names of events, with the content as a link. */
function wireOfValue(value: FileValue | AnnotationValue): Plain {
  if (value.type === 'file') {
    const { name, mediaType, sizeBytes, content, meta } = value
    const file = { n: name, m: mediaType, z: sizeBytes, c: CID.decode(content) }
    return meta === undefined ? file : { ...file, j: meta }
  }
  return {
    of: value.targets.map(wireOfId),
    s: wireOfId(value.schema),
    z: value.sizeBytes,
    ...(value.inline && { i: value.inline }),
    ...(value.content && { c: CID.decode(value.content) }),
  }
}

/** The list itself, or links to its parts. */
async function versionList(versions: readonly Plain[], sink: BlockSink): Promise<unknown> {
  if (versions.length <= SURELY_SMALL_VERSIONS) return versions
  const chunks: Plain[][] = []
  let chunkBytes = Infinity
  for (const version of versions) {
    const bytes = dagCbor.encode(version).length
    const isFull = chunks.at(-1)?.length === CHUNK_VERSIONS_MAX
    if (isFull || chunkBytes + bytes > CHUNK_BYTES_MAX) {
      chunks.push([])
      chunkBytes = 0
    }
    chunks.at(-1)?.push(version)
    chunkBytes += bytes
  }
  if (chunks.length === 1) return versions
  const links: CID[] = []
  for (const chunk of chunks) links.push(await putValue(chunk, sink))
  return { links }
}

// ---------------------------------------------------------------- reading

/** The CIDs of the blocks that hold parts of a record's version list, for the collector. */
export function recordBlocksOf(record: unknown): readonly CID[] {
  const list = asMap(asMap(record)['versions'])
  return Array.isArray(list['links']) ? (list['links'] as unknown[]).map(linkOf) : []
}

/** The row that {@link objectRecordOf} was given. @throws NOT_HERE, BAD_BLOCK. */
export async function objectRowOfRecord(
  id: ObjectId,
  record: unknown,
  source: NodeSource,
): Promise<ObjectRow> {
  const { status, head, versions: list, claim } = asMap(record)
  const wires: Plain[] = Array.isArray(list) ? list.map(asMap) : []
  if (!Array.isArray(list))
    for (const link of recordBlocksOf(record)) wires.push(...(await chunkOf(link, source)))
  const versions = wires.map(versionOf)
  const indexesOf = (...states: unknown[]) =>
    wires.flatMap(({ st }, i) => (states.includes(st) ? [i] : []))
  const headIndexes = indexesOf(HEAD)
  const heads = head === null ? [] : [uint(head), ...headIndexes.filter((i) => i !== head)]
  if (heads.length !== headIndexes.length) throw malformed('head')
  const current = heads.length > 0 ? versions[heads[0] as number]?.value : undefined
  const row = {
    id,
    versions,
    active: indexesOf(SUPERSEDED, HEAD),
    heads,
    purged: status === 'purged',
    ...(current && { current }),
    ...(claim !== undefined && { claim: claimOf(claim, id) }),
  }
  if (statusOf(row) !== status) throw malformed('status')
  return row
}

async function chunkOf(link: CID, source: NodeSource): Promise<Plain[]> {
  const bytes = await source.get(link)
  if (!bytes) throw new GonkError('NOT_HERE', `part of a state record ${link} is not here`)
  if (bytes.length > limits.blockBytesMax) throw malformed('size of a part')
  const decoded = decodeCanonical(bytes)
  if (isRejection(decoded)) throw malformed(decoded.what)
  return asList(decoded.value, CHUNK_VERSIONS_MAX).map(asMap)
}

function versionOf(wire: Plain): Version {
  const { op } = wire
  if (op !== 'create' && op !== 'update' && op !== 'delete' && op !== 'purge') throw malformed('op')
  return {
    id: idOf(wire['id']),
    date: dateOf(wire['at']),
    op,
    base: wire['base'] === undefined ? [] : asList(wire['base'], limits.basesMax).map(idOf),
    ...(wire['value'] !== undefined && { value: valueOf(asMap(wire['value'])) }),
  }
}

function valueOf(wire: Plain): FileValue | AnnotationValue {
  const sizeBytes = uint(wire['z'])
  if (wire['n'] !== undefined) {
    return {
      type: 'file',
      name: text(wire['n']),
      mediaType: text(wire['m']),
      sizeBytes,
      content: linkOf(wire['c']).bytes,
      ...(wire['j'] !== undefined && { meta: text(wire['j']) }),
    }
  }
  const { i: inline, c: content } = wire
  return {
    type: 'annotation',
    targets: asList(wire['of'], limits.targetsMax).map(idOf),
    schema: idOf(wire['s']),
    sizeBytes,
    ...(inline instanceof Uint8Array && { inline }),
    ...(content !== undefined && { content: linkOf(content).bytes }),
  }
}

function claimOf(value: unknown, object: ObjectId): NameClaim {
  const [space, name, date] = asList(value, 3)
  if (space !== 'file' && space !== 'schema') throw malformed('claim')
  return { space, name: text(name), date: dateOf(date), object }
}

function idOf(value: unknown): VersionId {
  const [proposal, index] = asList(value, 2)
  const event: EventId | undefined = eventIdOfCidBytes(proposal)
  if (!event) throw malformed('id')
  return { proposal: event, index: uint(index) }
}

function dateOf(value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length !== DATE_BYTES) throw malformed('date')
  return value
}

function linkOf(value: unknown): CID {
  const cid = CID.asCID(value)
  if (!cid) throw malformed('link')
  return cid
}

function asMap(value: unknown): Plain {
  if (typeof value !== 'object' || value === null) throw malformed('map')
  return value as Plain
}

function asList(value: unknown, max: number): unknown[] {
  if (!Array.isArray(value) || value.length > max) throw malformed('list')
  return value
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw malformed('text')
  return value
}

function uint(value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw malformed('number')
  return value as number
}

function malformed(what: string): GonkError {
  return new GonkError('BAD_BLOCK', `state record: ${what}`)
}
