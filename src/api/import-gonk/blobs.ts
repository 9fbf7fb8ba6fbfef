// The bytes of a Gonk history, checked, stored and judged before anything is signed.
import { CID } from 'multiformats/cid'
import { GonkError } from '../../core/errors.ts'
import { bytesOfHex, cidOfDigest } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import { mapInOrder, throwIfAborted } from '../../files/concurrent.ts'
import { CHUNK_BYTES } from '../../files/file-store.ts'
import { hasBlob, readBlob, readWholeBlob } from '../../importers/gonk/depot.ts'
import type { GonkFolder } from '../../importers/gonk/folder.ts'
import {
  type GonkHistory,
  type GonkVersion,
  isAccepted,
  isRejected,
} from '../../importers/gonk/history.ts'
import type { ProgressOptions } from '../../contract/api.ts'
import { DOCUMENT_BYTES_MAX, SCHEMA_BYTES_MAX } from '../annotations/conformity.ts'
import type { NodeContext } from '../context.ts'
import type { Imported } from './known.ts'

export interface Blobs {
  /** Of versions that are new here and are files: all but short annotations. */
  readonly contents: ReadonlyMap<GonkVersion, CID>
  /** Those without bytes: rejected, and small enough for their hash to be their CID. */
  readonly missing: ReadonlySet<GonkVersion>
  /** Accepted by Gonk, which never looked into them, but not fit to be accepted here, and why. */
  readonly unfit: ReadonlyMap<GonkVersion, string>
}

type Context = Pick<NodeContext, 'files' | 'validator'>
type Taken = {
  [Name in keyof Blobs]: Blobs[Name] extends ReadonlyMap<infer K, infer V>
    ? Map<K, V>
    : Set<GonkVersion>
}

const RAW = 0x55
const FILES_AT_ONCE = 8
const BYTES_AT_ONCE = 16 * CHUNK_BYTES
/** Documents that are checked together. */
const DOCUMENTS_AT_ONCE = 256

/** Throws NOT_HERE, BAD_BLOCK, TOO_LARGE, DISK, CANCELLED. */
export async function takeBlobs(
  context: Context,
  folder: GonkFolder,
  history: GonkHistory,
  imported: Imported,
  options: ProgressOptions = {},
): Promise<Blobs> {
  const taken: Taken = { contents: new Map(), missing: new Set(), unfit: new Map() }
  const isNew = (version: GonkVersion) => !imported.places.has(version)
  const isToJudge = (version: GonkVersion) => isAccepted(version) && !imported.decided.has(version)
  const versions = history.steps.flatMap((step) =>
    'operation' in step && step.operation.op !== 'delete' ? [step.operation] : [],
  )
  for (const version of versions) checkTargets(version)
  const files = versions.filter((v) => isNew(v) && !isShort(v))
  await storeFiles(context, folder, files, taken, options)
  const schemas = versions.filter((v) => v.kind === 'schema' && isToJudge(v))
  for (const schema of schemas) await judgeSchema(context, folder, schema, taken, options)
  const documents = versions.filter((v) => v.kind === 'annotation' && (isNew(v) || isToJudge(v)))
  const bySchema = Map.groupBy(documents, ({ schema }) => schema as GonkVersion)
  for (const [schema, all] of bySchema) {
    await takeDocuments(context, folder, schema, all, { taken, isToJudge, ...options })
  }
  return taken
}

/** What goes into the event itself. */
export function isShort({ kind, blob }: GonkVersion): boolean {
  return kind === 'annotation' && blob.size <= limits.inlineBytesMax
}

function checkTargets({ op, kind, targets, uuid }: GonkVersion): void {
  if (kind !== 'annotation' || op !== 'create' || targets.length <= limits.targetsMax) return
  const much = `is of ${targets.length} objects, more than ${limits.targetsMax}`
  throw new GonkError('TOO_LARGE', `annotation ${uuid} ${much}`, {
    hint: 'no release of Gonk makes such an annotation: split it there',
  })
}

async function storeFiles(
  context: Context,
  folder: GonkFolder,
  files: readonly GonkVersion[],
  taken: Taken,
  { onProgress, signal }: ProgressOptions,
): Promise<void> {
  let bytes = 0
  const stored = mapInOrder(
    files,
    async (version, signal) => {
      const cid = await missingCid(folder, version)
      if (cid !== undefined) taken.missing.add(version)
      return cid ?? (await context.files.put(readBlob(folder, version.blob), { signal })).cid
    },
    {
      count: FILES_AT_ONCE,
      costOf: ({ blob }) => blob.size,
      budget: BYTES_AT_ONCE,
      signal,
    },
  )
  for await (const cid of stored) {
    const version = files[taken.contents.size] as GonkVersion
    taken.contents.set(version, cid)
    bytes += version.blob.size
    onProgress?.({ what: 'storing files', done: taken.contents.size, total: files.length, bytes })
    throwIfAborted(signal)
  }
}

/** A file of one block has its own hash for a CID. Nobody will ask for one that was rejected. */
async function missingCid(folder: GonkFolder, version: GonkVersion): Promise<CID | undefined> {
  const { blob } = version
  if (!isRejected(version) || blob.size > CHUNK_BYTES) return undefined
  if (await hasBlob(folder, blob)) return undefined
  return cidOfDigest(bytesOfHex(blob.hash.toLowerCase()), RAW)
}

async function judgeSchema(
  { validator }: Context,
  folder: GonkFolder,
  schema: GonkVersion,
  taken: Taken,
  { signal }: ProgressOptions,
): Promise<void> {
  if (schema.blob.size > SCHEMA_BYTES_MAX) {
    taken.unfit.set(schema, 'TOO_LARGE')
    return
  }
  const bytes = await readWholeBlob(folder, schema.blob)
  await validator.checkSchema(bytes, { signal }).catch((error: unknown) => {
    const isAbout = error instanceof GonkError && /^(BAD_SCHEMA|TOO_)/.test(error.code)
    if (!isAbout) throw error
    taken.unfit.set(schema, error.code)
  })
}

interface TakeOptions extends ProgressOptions {
  readonly taken: Taken
  readonly isToJudge: (version: GonkVersion) => boolean
}

/** Checks short documents, whose bytes are read again when they are signed, and judges all. */
async function takeDocuments(
  { validator }: Context,
  folder: GonkFolder,
  schema: GonkVersion,
  versions: readonly GonkVersion[],
  { taken, isToJudge, signal }: TakeOptions,
): Promise<void> {
  const judged = versions.filter(isToJudge)
  const isSmall = schema.blob.size <= SCHEMA_BYTES_MAX
  const bytes = judged.length > 0 && isSmall ? await readWholeBlob(folder, schema.blob) : undefined
  let part: { version: GonkVersion; document: Uint8Array }[] = []
  let size = 0
  const judge = async () => {
    const documents = part.map(({ document }) => document)
    const answers = bytes && (await validator.check(bytes, documents, { signal }))
    for (const [i, { version }] of part.entries()) {
      const answer = answers?.[i] ?? { conforms: false, code: 'BAD_SCHEMA' }
      if (!answer.conforms) taken.unfit.set(version, answer.code)
    }
    part = []
    size = 0
  }
  for (const version of versions) {
    throwIfAborted(signal)
    const isJudged = isToJudge(version)
    if (isJudged && version.blob.size > DOCUMENT_BYTES_MAX) taken.unfit.set(version, 'TOO_LARGE')
    if (version.blob.size > DOCUMENT_BYTES_MAX || !(isJudged || isShort(version))) continue
    const cid = await missingCid(folder, version)
    if (cid !== undefined) {
      taken.contents.set(version, cid)
      taken.missing.add(version)
      continue
    }
    const document = await readWholeBlob(folder, version.blob)
    if (!isJudged) continue
    part.push({ version, document })
    size += document.length
    if (part.length === DOCUMENTS_AT_ONCE || size >= DOCUMENT_BYTES_MAX) await judge()
  }
  if (part.length > 0) await judge()
}
