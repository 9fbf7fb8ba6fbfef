// What is said of one annotation: the version that stands for it, what it is of, and its status.
import { GonkError } from '../../core/errors.ts'
import type { AnnotationValue, Proposal } from '../../core/event.ts'
import { type ObjectId, type VersionId, versionKey } from '../../core/ids.ts'
import type { ObjectRow, Version } from '../../core/state.ts'
import { objectOf } from '../../core/touched.ts'
import type { AnnotationInfo } from '../../contract/api.ts'
import { sha256 } from '../../crypto.ts'
import { onlyOne } from '../resolve.ts'
import { timeText, versionText } from '../text.ts'
import {
  countVersions,
  isVersion,
  type ProposalReader,
  type ProposedVersion,
  resolveVersion,
  valueOf,
  versionsOf,
  versionsThatStand,
} from '../objects/versions.ts'

const CANDIDATES = 3

/** An annotation and the version that stands for it. */
export interface Annotation {
  readonly id: ObjectId
  readonly row: ObjectRow
  /**
   * The current version; of a deleted or purged annotation the last one before; where nothing is
   * accepted, the newest that waits, else the newest, of {@link versionsThatStand}.
   */
  readonly shown: VersionId
  readonly value: AnnotationValue
  readonly status: AnnotationInfo['status']
}

/**
 * The annotation `EVENT:INDEX` is a version of, or whose id begins so. Throws NOT_FOUND, AMBIGUOUS.
 */
export async function resolveAnnotation(reader: ProposalReader, ref: string): Promise<Annotation> {
  const id = await objectIdOfRef(reader, ref)
  const [annotation] = await annotationsOf(reader, [id])
  if (annotation) return annotation
  throw new GonkError('NOT_FOUND', `${ref} is not an annotation`, {
    hint: 'see `gonk-node annotation list`',
  })
}

async function objectIdOfRef(reader: ProposalReader, ref: string): Promise<ObjectId> {
  if (isVersion(ref)) {
    const { id, read } = await resolveVersion(reader, ref)
    return objectOf(read.proposal, id.index, sha256)
  }
  const { history } = reader.replica.log
  const isPrefix = /^[0-9a-f]{1,64}$/.test(ref)
  const found = isPrefix ? await history.objectsByPrefix(ref, CANDIDATES) : []
  return onlyOne(found, ref, 'annotation', String)
}

/** Undefined for what is no annotation, or of which no creation is here. */
export async function annotationsOf(
  reader: ProposalReader,
  ids: readonly ObjectId[],
): Promise<(Annotation | undefined)[]> {
  const found: (Annotation | undefined)[] = []
  for (const row of await reader.replica.log.objectRows(ids)) {
    found.push(await annotationOf(reader, row))
  }
  return found
}

async function annotationOf(
  reader: ProposalReader,
  row: ObjectRow,
): Promise<Annotation | undefined> {
  const { id, heads, active, current, purged } = row
  const versions = row.versions as readonly Version[]
  const head = versions[heads[0] ?? -1]
  if (!purged && head !== undefined) {
    const held = active.map((i) => versions[i] as Version)
    const shown = current === undefined ? held.findLast(({ value }) => value) : head
    if (shown?.value?.type !== 'annotation') return undefined
    const status = current === undefined ? 'deleted' : 'accepted'
    return { id, row, shown: shown.id, value: shown.value, status }
  }
  const all = await versionsOf(reader, id)
  if (!all.some(({ operation }) => operation.op === 'create')) return undefined
  const newest = newestOf(versionsThatStand(all))
  const value = valueOf(newest?.operation)
  if (newest === undefined || value?.type !== 'annotation') return undefined
  const status = newest.decision.status === 'rejected' ? 'rejected' : 'pending'
  return { id, row, shown: newest.id, value, status: purged ? 'purged' : status }
}

/** Of versions of which none is in force: the newest that may come into it, else the newest. */
function newestOf(versions: readonly ProposedVersion[]): ProposedVersion | undefined {
  const valued = versions.filter(({ operation }) => 'value' in operation)
  return valued.findLast(({ decision }) => decision.status !== 'rejected') ?? valued.at(-1)
}

/**
 * Of a proposal that was just made here: what {@link annotationsOf} would say of it, without
 * reading.
 */
export function justProposed(
  proposal: Proposal,
  index: number,
  status: 'accepted' | 'pending',
  row: ObjectRow,
): Annotation | undefined {
  const value = valueOf(proposal.operations[index])
  if (value?.type !== 'annotation') return undefined
  return { id: row.id, row, shown: { proposal: proposal.id, index }, value, status }
}

/** Annotations as the API shows them; names are left out where too many would have to be read. */
export class AnnotationInfos {
  readonly #reader: ProposalReader
  readonly #schemas = new Map<string, AnnotationInfo['schema']>()

  constructor(reader: ProposalReader) {
    this.#reader = reader
  }

  async of({ id, shown, value, status }: Annotation): Promise<AnnotationInfo> {
    const read = await this.#reader.read(shown.proposal)
    if (read === undefined) throw new GonkError('NOT_HERE', `${versionText(shown)} is damaged`)
    const objects: AnnotationInfo['objects'][number][] = []
    for (const target of value.targets) objects.push(await this.#target(target))
    return {
      id,
      version: versionText(shown),
      objects,
      schema: await this.#schema(value.schema),
      size: value.sizeBytes,
      status,
      author: read.proposal.author,
      at: timeText(read.proposal.claimedAtMs),
    }
  }

  async #target(target: VersionId): Promise<AnnotationInfo['objects'][number]> {
    const version = versionText(target)
    const read = await this.#reader.glance(target.proposal)
    const operation = read?.proposal.operations[target.index]
    if (read === undefined || operation === undefined) return { version }
    const object = objectOf(read.proposal, target.index, sha256)
    const value = valueOf(operation)
    return { version, object, ...(value?.type === 'file' && { name: value.name }) }
  }

  async #schema(id: VersionId): Promise<AnnotationInfo['schema']> {
    const key = versionKey(id)
    const known = this.#schemas.get(key)
    if (known) return known
    const schema = await this.#readSchema(id)
    this.#schemas.set(key, schema)
    return schema
  }

  async #readSchema(id: VersionId): Promise<AnnotationInfo['schema']> {
    const version = versionText(id)
    const read = await this.#reader.glance(id.proposal)
    const value = valueOf(read?.proposal.operations[id.index])
    if (read === undefined || value?.type !== 'file') return { version }
    const object = objectOf(read.proposal, id.index, sha256)
    const { number } = await countVersions(this.#reader, object, id)
    return { version, name: value.name, ...(number !== undefined && { number }) }
  }
}
