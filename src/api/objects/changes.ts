// What has to be proposed so that a dataset has a file under a name, and what of it is proposed already.
import { GonkError } from '../../core/errors.ts'
import { type FileValue, type Operation, SCHEMA_MEDIA_TYPE } from '../../core/event.ts'
import { type EventId, hexOf, type PublicKey, type VersionId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import { namePathProblem } from '../../core/names.ts'
import type { ObjectRow } from '../../core/state.ts'
import { mediaTypeOf } from '../../files/folder.ts'
import type { Replica } from '../../replica/replica.ts'
import { rowOf } from './objects.ts'
import { headsOf } from './versions.ts'

/** A file that somebody wants under a name. */
export interface WantedFile {
  readonly name: string
  /** The 36 bytes of its CID. */
  readonly content: Uint8Array
  readonly sizeBytes: number
  /** @default that of the object, else what the name says */
  readonly mediaType?: string | undefined
  readonly meta?: string | undefined
}

const SCHEMA_PREFIX = 'schema-'

/**
 * A new object, or a new version of the one with the earliest claim on the name; undefined when it
 * holds all that already.
 */
export async function changeFor(
  replica: Replica,
  wanted: WantedFile,
): Promise<Operation | undefined> {
  const { name, content, sizeBytes, meta } = wanted
  const existing = await fileNamed(replica, name)
  const current = existing?.current?.type === 'file' ? existing.current : undefined
  const mediaType = wanted.mediaType ?? current?.mediaType ?? mediaTypeOf(name)
  const value: FileValue = {
    ...{ type: 'file', name, mediaType, sizeBytes, content },
    ...(meta !== undefined && { meta }),
  }
  if (existing === undefined) return { op: 'create', value }
  const isSame = current && hexOf(current.content) === hexOf(content)
  const hasMeta = meta === undefined || current?.meta === meta
  if (isSame && hasMeta && current.mediaType === mediaType) return undefined
  return { op: 'update', object: existing.id, base: headsOf(existing), value }
}

/** The accepted object with the earliest claim on a name in `files/`. */
export async function fileNamed(replica: Replica, name: string): Promise<ObjectRow | undefined> {
  const [claim] = await replica.log.names.claimsOn('file', name)
  return claim && rowOf(replica.log, claim.object)
}

/** Throws BAD_NAME for what no object may be named, USAGE for the names that schemas have. */
export function checkName(name: string): void {
  const problem = namePathProblem(name) ?? (name === name.normalize('NFC') ? undefined : 'not NFC')
  if (problem !== undefined) throw new GonkError('BAD_NAME', `"${name}": ${problem}`)
  if (name.startsWith(SCHEMA_PREFIX)) throw isOfSchemas(`"${name}"`)
}

/** Throws USAGE for what is no media type, and for that of schemas. */
export function checkMediaType(mediaType: string | undefined): void {
  if (mediaType === undefined) return
  const [essence = ''] = mediaType.split(';', 1)
  if (essence.trim().toLowerCase() === SCHEMA_MEDIA_TYPE) throw isOfSchemas(essence.trim())
  const isOne = /^[!#$&^_.+\w-]+\/[!#$&^_.+\w-]+ *(;[\x20-\x7e]*)?$/.test(mediaType)
  if (isOne && mediaType.length <= limits.mediaTypeBytesMax) return
  throw new GonkError('USAGE', `"${mediaType}" is not a media type`, {
    hint: 'give one such as image/png, or none',
  })
}

function isOfSchemas(what: string): GonkError {
  return new GonkError('USAGE', `${what} is for schemas only: no file may be called so`, {
    hint: 'add a schema with `gonk-node schema add` or POST …/schemas, which checks it',
  })
}

/** Throws TOO_LARGE, USAGE for what is not JSON text. */
export function checkMeta(meta: string | undefined): void {
  if (meta === undefined) return
  if (Buffer.byteLength(meta) > limits.metaBytesMax) {
    throw new GonkError('TOO_LARGE', `meta is larger than ${limits.metaBytesMax} bytes`)
  }
  try {
    JSON.parse(meta)
  } catch (cause) {
    throw new GonkError('USAGE', 'meta is not JSON', { cause })
  }
}

// ---------------------------------------------------------------- what is proposed already

type Named = Pick<WantedFile, 'name' | 'content'>

/** How far back a client goes that repeats what it has no answer to. */
const RECENT_EVENTS = 200
const RECENT_OPERATIONS = 2_000

/** A file among those that {@link ownPending} gives. */
export function pendingKey({ name, content }: Named): string {
  return `${hexOf(content)} ${name}`
}

/**
 * All files that this node, or one key on it, has proposed and nobody has decided: by name and content,
 * where that was said first.
 */
export async function ownPending(
  replica: Replica,
  author?: PublicKey,
): Promise<Map<string, VersionId>> {
  const pending = new Map<string, VersionId>()
  for await (const id of replica.log.pending()) {
    for (const { file, version } of (await ownPendingIn(replica, id, author)).files) {
      if (!pending.has(pendingKey(file))) pending.set(pendingKey(file), version)
    }
  }
  return pending
}

/** Which operation of the newest proposals by a key holds the file, where nobody has decided it. */
export async function recentlyProposed(
  replica: Replica,
  author: PublicKey,
  file: Named,
): Promise<VersionId | undefined> {
  let seen = 0
  const newest = { reverse: true, limit: RECENT_EVENTS }
  for await (const [, id] of replica.log.history.authoredBy(author, newest)) {
    const { operations, files } = await ownPendingIn(replica, id)
    const found = files.find((other) => pendingKey(other.file) === pendingKey(file))
    if (found) return found.version
    seen += operations
    if (seen > RECENT_OPERATIONS) return undefined
  }
  return undefined
}

interface PendingFile {
  readonly file: FileValue
  readonly version: VersionId
}

async function ownPendingIn(
  replica: Replica,
  id: EventId,
  author?: PublicKey,
): Promise<{ operations: number; files: PendingFile[] }> {
  const row = await replica.log.proposal(id)
  if (row?.own !== true || (author !== undefined && row.author !== author)) {
    return { operations: 0, files: [] }
  }
  const open = row.decisions.filter(({ status }) => status === 'pending')
  const proposal = open.length > 0 ? await replica.proposal(id) : undefined
  const files = open.flatMap(({ from, to }) =>
    (proposal?.operations.slice(from, to + 1) ?? []).flatMap((operation, i) =>
      'value' in operation && operation.value.type === 'file'
        ? [{ file: operation.value, version: { proposal: id, index: from + i } }]
        : [],
    ),
  )
  return { operations: row.operations, files }
}
