// What stands in the way of accepting operations now: each with its reason. Everything that signs an
// acceptance asks here first, so that nothing is accepted that is not here or does not conform.
import { CID } from 'multiformats/cid'
import { type ErrorCode, errorCodes, GonkError } from '../../core/errors.ts'
import { type FileValue, type Operation, SCHEMA_MEDIA_TYPE, type Value } from '../../core/event.ts'
import { hexOf, type VersionId, type VersionKey, versionKey } from '../../core/ids.ts'
import type { ObjectRow, Version } from '../../core/state.ts'
import type { CheckOptions } from '../../ports.ts'
import type { WantedContent } from '../../replica/file-keeper.ts'
import type { Replica } from '../../replica/replica.ts'
import type { Conformity, ProgressOptions } from '../../contract/api.ts'
import { DOCUMENT_BYTES_MAX, SCHEMA_BYTES_MAX, schemaValueOf } from '../annotations/conformity.ts'
import type { NodeContext } from '../context.ts'
import { judge } from './judge.ts'
import { isIn, operationsOf, type Selected, without } from './review-batch.ts'
import { versionText } from '../text.ts'

type Context = Pick<NodeContext, 'keeper' | 'held' | 'files' | 'validator' | 'network'>

/** Why one operation cannot be accepted. */
export interface Obstacle {
  readonly outcome: 'stale' | 'badName' | 'invalid' | 'notHere'
  readonly code: ErrorCode
  /** What is wrong, without the name of the operation. */
  readonly what: string
  readonly details?: Record<string, unknown>
}

export interface AcceptOptions extends ProgressOptions, CheckOptions {
  /** Bases need not be current. */
  readonly allowStale?: boolean
  /** Nothing is fetched: what is not here yet counts as not here. */
  readonly lookOnly?: boolean
  /** Versions that are as good as accepted, beside those of the batch. */
  readonly accepted?: ReadonlySet<VersionKey>
  /** Later checks are left out once something is in the way: all or nothing is wanted. */
  readonly firstOnly?: boolean
}

export type Obstacles = ReadonlyMap<VersionKey, Obstacle>

/** Objects whose versions are read at once. */
const ROWS_AT_ONCE = 256

/**
 * The operations of a batch that cannot be accepted, by version. Cheapest checks first; content comes
 * here before it is judged. Call inside `keeper.gate.shared` and stay there until what is accepted is
 * signed, unless `lookOnly`. Throws CANCELLED, DISK, TOO_COSTLY.
 */
export async function obstaclesTo(
  context: Context,
  replica: Replica,
  batch: readonly Selected[],
  options: AcceptOptions = {},
): Promise<Obstacles> {
  const found = new Map<VersionKey, Obstacle>()
  const stages = [
    async (rest: readonly Selected[]) => findMalformed(rest, found),
    (rest: readonly Selected[]) => findStale(replica, rest, found, options),
    (rest: readonly Selected[]) => findAbsent(context, replica, rest, found, options),
    (rest: readonly Selected[]) => findInvalid(context, replica, rest, found, options),
    // What builds on something that turned out to be unacceptable.
    (rest: readonly Selected[]) => findStale(replica, rest, found, options),
  ]
  for (const stage of stages) {
    if (options.firstOnly === true && found.size > 0) break
    await stage(found.size === 0 ? batch : without(batch, isIn(found)))
  }
  return found
}

/** The error that says so of the first of several. NOT_HERE names all that is missing, and the peers. */
export function refusalOf(
  context: Pick<NodeContext, 'network'>,
  replica: Replica,
  obstacles: Obstacles,
  batch: readonly Selected[],
): GonkError {
  const [first] = [...operationsOf(batch)].filter(({ id }) => obstacles.has(versionKey(id)))
  if (first === undefined) throw new Error('there is no obstacle')
  const { code, what, details } = obstacles.get(versionKey(first.id)) as Obstacle
  if (code === 'NOT_HERE') return absenceOf(context, replica, obstacles, batch)
  const item = versionText(first.id)
  return new GonkError(code, `${item} ${what}`, {
    details: { item, ...details },
    ...(code === 'BAD_NAME' && { hint: 'reject it, and ask its author for a normalised name' }),
  })
}

function absenceOf(
  { network }: Pick<NodeContext, 'network'>,
  replica: Replica,
  obstacles: Obstacles,
  batch: readonly Selected[],
): GonkError {
  const names: string[] = []
  const missing = new Set<unknown>()
  for (const { id, operation } of operationsOf(batch)) {
    const obstacle = obstacles.get(versionKey(id))
    if (obstacle?.code !== 'NOT_HERE') continue
    names.push(labelOf(operation))
    if (obstacle.details?.['missing'] !== undefined) missing.add(obstacle.details['missing'])
  }
  const peers = network.peersOf(replica.id)
  const more = names.length > 3 ? ` and ${names.length - 3} more` : ''
  const known = peers.length > 0 ? `peers asked: ${peers.join(', ')}` : 'no peer is connected'
  const what = `content is not here: ${names.slice(0, 3).join(', ')}${more}; ${known}`
  return new GonkError('NOT_HERE', what, { details: { missing: [...missing], names, peers } })
}

function labelOf(operation: Operation): string {
  return 'value' in operation && operation.value.type === 'file'
    ? operation.value.name
    : 'an annotation'
}

// ---------------------------------------------------------------- names

/** Why an owner does not sign for a name. The rest of what names must be is checked on arrival. */
export function nameProblemOf(value: Value): string | undefined {
  const isProblem = value.type === 'file' && value.name !== value.name.normalize('NFC')
  return isProblem ? `has a name that is not NFC: "${value.name}"` : undefined
}

function findMalformed(batch: readonly Selected[], found: Map<VersionKey, Obstacle>): void {
  for (const { operation, id } of operationsOf(batch)) {
    if (!('value' in operation)) continue
    const name = nameProblemOf(operation.value)
    const size = sizeProblemOf(operation.value)
    if (name !== undefined) {
      found.set(versionKey(id), { outcome: 'badName', code: 'BAD_NAME', what: name })
    } else if (size !== undefined) found.set(versionKey(id), size)
  }
}

/** Before anything is fetched. */
function sizeProblemOf(value: Value): Obstacle | undefined {
  const isAnnotation = value.type === 'annotation'
  if (!isAnnotation && value.mediaType !== SCHEMA_MEDIA_TYPE) return undefined
  const max = isAnnotation ? DOCUMENT_BYTES_MAX : SCHEMA_BYTES_MAX
  if (value.sizeBytes <= max) return undefined
  const what = `has ${value.sizeBytes} bytes; at most ${max} are allowed`
  return { outcome: 'invalid', code: isAnnotation ? 'NOT_CONFORMING' : 'BAD_SCHEMA', what }
}

// ---------------------------------------------------------------- bases

export const STALE = 'builds on a version that is not accepted, or not current any more'

/**
 * Whether an operation builds on nothing that is current: it would hide what came after its base.
 * Ending the use of an old version of a schema hides nothing.
 * @param accepted versions that are as good as accepted
 */
export function isStale(
  row: ObjectRow,
  operation: Operation,
  accepted: ReadonlySet<VersionKey> = new Set(),
): boolean {
  if (!('base' in operation)) return false
  const { current } = row
  const isSchema = current?.type === 'file' && current.mediaType === SCHEMA_MEDIA_TYPE
  if (isSchema && operation.op === 'delete') return false
  const heads = new Set(row.heads.map((i) => versionKey((row.versions[i] as Version).id)))
  return !operation.base.some((base) => {
    const key = versionKey(base)
    return heads.has(key) || accepted.has(key)
  })
}

/** What builds on a stale version of the batch is stale, too. */
async function findStale(
  replica: Replica,
  batch: readonly Selected[],
  found: Map<VersionKey, Obstacle>,
  options: AcceptOptions,
): Promise<void> {
  if (options.allowStale === true) return
  const mayBeStale = (operation: Operation) => 'base' in operation
  if (!batch.some(({ proposal }) => proposal.operations.some(mayBeStale))) return
  const accepted = new Set(options.accepted)
  const based: Based[] = []
  const builtOn = new Map<VersionKey, Based[]>()
  for (const { id, operation } of operationsOf(batch)) {
    accepted.add(versionKey(id))
    if (!('base' in operation)) continue
    const one = { key: versionKey(id), operation }
    based.push(one)
    for (const base of operation.base) {
      const key = versionKey(base)
      const list = builtOn.get(key)
      if (list) list.push(one)
      else builtOn.set(key, [one])
    }
  }
  const fallen: VersionKey[] = []
  const look = async (some: readonly Based[]) => {
    const rows = await replica.log.objectRows(some.map(({ operation }) => operation.object))
    for (const [i, { key, operation }] of some.entries()) {
      const row = rows[i] as ObjectRow
      if (found.has(key) || !isStale(row, operation, accepted)) continue
      accepted.delete(key)
      found.set(key, { outcome: 'stale', code: 'STALE_BASE', what: STALE })
      fallen.push(key)
    }
  }
  for (let i = 0; i < based.length; i += ROWS_AT_ONCE) await look(based.slice(i, i + ROWS_AT_ONCE))
  // It grows while it is gone through.
  for (const key of fallen) await look(builtOn.get(key) ?? [])
}

interface Based {
  readonly key: VersionKey
  readonly operation: Extract<Operation, { base: unknown }>
}

/** Throws STALE_BASE unless every base is current still; for the moment of signing. */
export async function requireCurrent(
  replica: Replica,
  batch: readonly Selected[],
  options: AcceptOptions,
): Promise<void> {
  const found = new Map<VersionKey, Obstacle>()
  await findStale(replica, batch, found, options)
  const [first] = [...operationsOf(batch)].filter(({ id }) => found.has(versionKey(id)))
  if (first) throw new GonkError('STALE_BASE', `${versionText(first.id)} ${STALE}`)
}

// ---------------------------------------------------------------- content

/** Their own content, and the schemas of annotations. */
async function findAbsent(
  context: Context,
  replica: Replica,
  batch: readonly Selected[],
  found: Map<VersionKey, Obstacle>,
  options: AcceptOptions,
): Promise<void> {
  const wanted: WantedContent[] = []
  const users = new Map<string, VersionId[]>()
  const schemas = new Map<VersionKey, FileValue | undefined>()
  const want = (content: Uint8Array, sizeBytes: number, id: VersionId) => {
    const key = hexOf(content)
    const list = users.get(key)
    if (list) list.push(id)
    else {
      users.set(key, [id])
      wanted.push({ cid: CID.decode(content), sizeBytes })
    }
  }
  for (const { operation, id } of operationsOf(batch)) {
    if (!('value' in operation)) continue
    const { value } = operation
    if (value.content !== undefined) want(value.content, value.sizeBytes, id)
    if (value.type !== 'annotation') continue
    const key = versionKey(value.schema)
    if (!schemas.has(key)) schemas.set(key, await schemaFileOf(replica, value.schema))
    const schema = schemas.get(key)
    if (schema !== undefined && schema.sizeBytes <= SCHEMA_BYTES_MAX) {
      want(schema.content, schema.sizeBytes, id)
    }
  }
  const missing = await missingOf(context, replica, wanted, options)
  for (const cid of missing) {
    for (const id of users.get(hexOf(cid.bytes)) ?? []) {
      const what = 'is not on this node, or its schema is not'
      const details = { missing: cid.toString() }
      found.set(versionKey(id), { outcome: 'notHere', code: 'NOT_HERE', what, details })
    }
  }
}

async function schemaFileOf(replica: Replica, id: VersionId): Promise<FileValue | undefined> {
  const value = await schemaValueOf(replica, id)
  return 'answer' in value ? undefined : value
}

async function missingOf(
  { keeper, held }: Context,
  replica: Replica,
  wanted: readonly WantedContent[],
  options: AcceptOptions,
): Promise<CID[]> {
  if (options.lookOnly !== true) return keeper.bringHere(replica.id, wanted, options)
  const areHeld = await held.areHeld(wanted.map(({ cid }) => cid.bytes))
  return wanted.filter((_, i) => areHeld[i] !== true).map(({ cid }) => cid)
}

// ---------------------------------------------------------------- conformity

/** What annotations and schemas of the batch say; files are not looked into. */
async function findInvalid(
  context: Context,
  replica: Replica,
  batch: readonly Selected[],
  found: Map<VersionKey, Obstacle>,
  options: CheckOptions,
): Promise<void> {
  for await (const part of judge(context, replica, operationsOf(batch), options)) {
    for (const { id, conformity } of part) {
      const obstacle = obstacleOf(conformity)
      if (obstacle !== undefined) found.set(versionKey(id), obstacle)
    }
  }
}

/** What it means for an acceptance that something is not known to conform. */
export function obstacleOf({ status, code, errors }: Conformity): Obstacle | undefined {
  if (status === 'conforms') return undefined
  const [error] = errors
  const at = error?.path ? ` at ${error.path}` : ''
  const says = error === undefined ? '' : `: ${error.text}${error.rule && ` (${error.rule})`}`
  if (status === 'unknown') {
    return { outcome: 'notHere', code: 'NOT_HERE', what: `cannot be checked${says}` }
  }
  const known = code !== undefined && code in errorCodes ? (code as ErrorCode) : 'NOT_CONFORMING'
  const what = `${known === 'NOT_CONFORMING' ? 'does not conform' : 'cannot be used'}${at}${says}`
  return { outcome: 'invalid', code: known, what, details: { errors } }
}
