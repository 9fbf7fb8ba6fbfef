// The words of Gonk's events in our terms: names and media types that may stand in an event, and
// labels that keep what was said.
import type { Labels } from '../../core/event.ts'
import { SCHEMA_MEDIA_TYPE } from '../../core/event.ts'
import { pathPrefixesOf } from '../../core/claims.ts'
import { limits } from '../../core/limits.ts'
import { namePathProblem } from '../../core/names.ts'
import type { GonkObject } from '../../importers/gonk/events.ts'
import { type GonkOperation, type GonkVersion, isAccepted } from '../../importers/gonk/history.ts'

/** Room for the map itself and for what says how long each text is. */
const LABEL_BYTES = 6
const MEDIA_TYPE = /^[\x20-\x7e]{1,255}$/

/** The name of a version of an object; another one, where Gonk's cannot be a name here. */
export function nameOf({ name, uuid }: GonkObject): string {
  const composed = name.toWellFormed().normalize('NFC')
  if (namePathProblem(composed) === undefined) return composed
  return name.startsWith('schema-') ? `schema-${uuid}` : uuid
}

/** Gonk tells schemas by their names, we by their media type. */
export function mediaTypeOf({ kind, blob }: GonkVersion): string {
  if (kind === 'schema') return SCHEMA_MEDIA_TYPE
  const { format } = blob as GonkObject
  if (format === SCHEMA_MEDIA_TYPE) return 'application/json'
  return MEDIA_TYPE.test(format) ? format : 'application/octet-stream'
}

/** What was said of an operation and of its review; where it is too long, the least of it goes. */
export function labelsOf(operation: GonkOperation): Labels {
  const { event, uuid, version, review } = operation
  const blob = 'blob' in operation ? operation.blob : undefined
  const object = blob !== undefined && 'name' in blob ? blob : undefined
  return fitting({
    'gonk.uuid': uuid,
    'gonk.version': String(version),
    'gonk.event': event.uuid,
    'gonk.timestamp': event.timestamp,
    'gonk.author': event.author,
    sha256: blob?.hash.toLowerCase(),
    'gonk.name': object && nameOf(object) !== object.name ? object.name : undefined,
    'gonk.format':
      object && mediaTypeOf(operation as GonkVersion) !== object.format ? object.format : undefined,
    'gonk.review': review?.uuid,
    'gonk.verdict': review && (isAccepted(operation) ? 'accept' : 'reject'),
    'gonk.reviewed': review?.timestamp,
    'gonk.reviewer': review?.author,
    'gonk.integrity': event.integrity,
    'gonk.review-integrity': review?.integrity,
  })
}

/** Of a review event of its own. */
export function reviewLabels({ review }: GonkOperation): Labels {
  return fitting({
    'gonk.event': review?.uuid,
    'gonk.timestamp': review?.timestamp,
    'gonk.author': review?.author,
    'gonk.integrity': review?.integrity,
  })
}

function fitting(labels: Record<string, string | undefined>): Labels {
  const kept: Record<string, string> = {}
  let bytes = LABEL_BYTES
  for (const [name, value] of Object.entries(labels)) {
    if (value === undefined) continue
    // No text of an event begins with a byte order mark or holds half a character.
    const text = value.toWellFormed().replace(/^\ufeff+/, '')
    const more = name.length + Buffer.byteLength(text) + LABEL_BYTES
    if (bytes + more > limits.labelsBytesMax) continue
    kept[name] = text
    bytes += more
  }
  return kept
}

/** Names that may be claimed together: none the same as another, none a path prefix of another. */
export class NamesAtOnce {
  readonly #names = new Map<string, string>()
  readonly #directories = new Set<string>()

  /** @returns false when it conflicts with one that is in. */
  add(operation: GonkOperation): boolean {
    if (operation.op === 'delete' || !('name' in operation.blob)) return true
    const { uuid } = operation
    const space = operation.kind === 'schema' ? 'schema' : 'file'
    const name = nameOf(operation.blob)
    const prefixes = pathPrefixesOf(space, name)
    const keyOf = (text: string) => `${space} ${text}`
    const owner = this.#names.get(keyOf(name))
    const isTaken =
      (owner !== undefined && owner !== uuid) ||
      this.#directories.has(keyOf(name)) ||
      prefixes.some((prefix) => this.#names.has(keyOf(prefix)))
    if (isTaken) return false
    this.#names.set(keyOf(name), uuid)
    for (const prefix of prefixes) this.#directories.add(keyOf(prefix))
    return true
  }
}
