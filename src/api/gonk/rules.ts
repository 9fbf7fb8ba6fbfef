// Gonk's rules, with its words, checked at this door before anything is signed. Where a stranger
// could use them to stand in somebody's way, only what is accepted or was proposed here counts.
import { GonkError } from '../../core/errors.ts'
import { namePathProblem } from '../../core/names.ts'
import { limits } from '../../core/limits.ts'
import type { GonkLog, GonkVersionRow } from '../../log/gonk-log.ts'
import type { NodeContext } from '../context.ts'
import type { Identifier } from './types.ts'
import { broken, type Found, type View } from './view.ts'

/** Printable ASCII, as the format has it. */
const MEDIA_TYPE = /^[\x20-\x7e]+$/

/** @returns the name in the form in which it is kept. */
export function checkObject(name: string, format: string): string {
  if (name === '') throw broken('object name cannot be empty')
  if (format === '') throw broken('object format cannot be empty')
  const kept = name.normalize('NFC')
  const problem = namePathProblem(kept)
  if (problem !== undefined) throw broken(`object name is not allowed here: ${problem}`)
  if (!MEDIA_TYPE.test(format) || format.length > limits.mediaTypeBytesMax) {
    const most = limits.mediaTypeBytesMax
    throw broken(`object format is not allowed here: at most ${most} printable ASCII characters`)
  }
  return kept
}

/** UTF-8 JSON text, and a schema of its draft. */
export async function checkSchema(
  { validator }: Pick<NodeContext, 'validator'>,
  schema: Uint8Array,
): Promise<void> {
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(schema))
  } catch (cause) {
    const text = 'Expecting value: line 1 column 1 (char 0)'
    throw new GonkError('BAD_SCHEMA', text, { details: { class: 'JSONDecodeError' }, cause })
  }
  await validator.checkSchema(schema).catch((error: unknown) => {
    if (!(error instanceof GonkError) || error.code === 'CANCELLED') throw error
    throw broken(`schema is not a valid JSON Schema: ${error.message}`)
  })
}

/**
 * @param hashes all that the content may be told as.
 * @param uuid of the object that may have it.
 */
export async function checkUnique(
  { log }: View,
  hashes: readonly string[],
  uuid?: string,
): Promise<void> {
  for (const hash of hashes) {
    for await (const place of log.claims('hash', hash)) {
      if (place.uuid === uuid) continue
      throw broken(`duplicate hash detected in object ${place.uuid}:${place.version}`)
    }
  }
}

export async function checkSchemaName({ log }: View, name: string): Promise<void> {
  for await (const _ of log.claims('name', name)) throw broken('schema name already in use')
}

/** The newest version that counts; else the newest at all. */
export async function latestOf({ log }: View, { uuid }: Found): Promise<GonkVersionRow> {
  return newestOf(log, uuid, () => true)
}

/** What an update builds on: the newest version that counts and was not rejected. */
export async function baseOf({ log }: View, { uuid }: Found): Promise<GonkVersionRow> {
  return newestOf(log, uuid, ({ status }) => status !== 'rejected')
}

/** Looks at those that count only: of the others, strangers decide how many there are. */
async function newestOf(
  log: GonkLog,
  uuid: string,
  isMeant: (row: GonkVersionRow) => boolean,
): Promise<GonkVersionRow> {
  for await (const place of log.claims('version', uuid, { reverse: true })) {
    const row = await log.version(place)
    if (row !== undefined && isMeant(row)) return row
  }
  const { versions = 1 } = (await log.thing(uuid)) ?? {}
  return (await log.version({ uuid, version: versions - 1 })) as GonkVersionRow
}

export function checkChanged({ body }: GonkVersionRow, hashes: readonly unknown[]): void {
  if (hashes.includes(body['hash'])) throw broken('object hash unchanged')
}

const DELETE_TEXTS = {
  object: [
    'cannot delete a rejected object',
    'object version pending deletion',
    'object version already deleted',
  ],
  annotation: [
    'cannot delete a rejected annotation',
    'annotation already pending deletion',
    'annotation already deleted',
  ],
} as const

export function checkDeletable(row: GonkVersionRow, what: 'object' | 'annotation'): void {
  const [rejected, pending, deleted] = DELETE_TEXTS[what]
  if (row.status === 'rejected') throw broken(rejected)
  if (row.ownPendingDeletes > 0) throw broken(pending)
  if (row.acceptedDeletes > 0) throw broken(deleted)
}

/** @returns the versions of ours that these identifiers name, each once. */
export async function checkTargets(
  { log }: View,
  targets: readonly Identifier[],
): Promise<GonkVersionRow[]> {
  const rows = new Map<string, GonkVersionRow>()
  for (const { uuid, version } of targets) {
    const row = await log.version({ uuid, version })
    const thing = await log.thing(uuid)
    if (row === undefined || thing === undefined || thing.kind === 'annotation') {
      throw broken('object identifier not found')
    }
    if (row.status === 'rejected') throw broken('rejected objects cannot be annotated')
    if (row.acceptedDeletes > 0) throw broken('deleted objects cannot be annotated')
    if (thing.kind === 'schema') throw broken('schemas can not be annotated')
    rows.set(`${uuid}:${version}`, row)
  }
  if (rows.size > limits.targetsMax) {
    throw broken(`an annotation is of at most ${limits.targetsMax} objects`)
  }
  return [...rows.values()]
}
