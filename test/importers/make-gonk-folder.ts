// Gonk's data folder from a plain model of Gonk: events that its rules allow, the marks they leave on
// each version, and both layouts in which Gonk keeps them.
import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { integrityOf } from '../../src/api/gonk/integrity.ts'
import { sha256 as digest } from '../../src/crypto.ts'
import type { GonkEvent } from '../../src/importers/gonk/events.ts'

export type Layout = 'files' | 'sqlite'
type Kind = 'object' | 'schema' | 'annotation'
type Mark = 'createPending' | 'createRejected' | 'deletePending' | 'deleteAccepted'
type Body<T = GonkEvent> = T extends GonkEvent
  ? Omit<T, 'uuid' | 'timestamp' | 'integrity' | 'author'>
  : never

/** One version of something, and what its listings depend on. */
export interface ModelVersion {
  readonly kind: Kind
  readonly uuid: string
  readonly version: number
  readonly marks: Set<Mark>
  /** Accepting it does nothing in the import: its document does not conform. */
  readonly unfit: boolean
}

interface Waiting {
  readonly event: string
  readonly of: ModelVersion
  readonly isDelete: boolean
}

/** A draft-07 schema, and documents that do and do not conform to it. */
export const schemaText = JSON.stringify({
  $schema: 'http://json-schema.org/draft-07/schema#',
  type: 'object',
  required: ['count'],
  properties: { count: { type: 'integer' } },
})
const good = (note: number) => JSON.stringify({ count: note })
const bad = (note: number) => JSON.stringify({ count: `not ${note}` })

const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex')
export const blobKey = ({ uuid, version }: { uuid: string; version: number }) =>
  `${uuid}.${version}`

/** The same UUID for the same words. */
export function uuidOf(words: string): string {
  const hex = sha256(words)
  const parts = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `4${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
  ]
  return [...parts, hex.slice(20, 32)].join('-')
}

export class GonkModel {
  readonly events: GonkEvent[] = []
  readonly blobs = new Map<string, Uint8Array>()
  readonly versions: ModelVersion[] = []
  readonly #waiting: Waiting[] = []
  readonly #seed: string

  constructor(seed = 'model') {
    this.#seed = seed
    this.append({ type: 'OwnerAddEvent', owner: 'ada', owner_action: 1 })
  }

  /** Any event, allowed or not, with a chain that holds. */
  append(body: Body, author = 'ada'): GonkEvent {
    const n = this.events.length
    const uuid = uuidOf(`${this.#seed} event ${n}`)
    const timestamp = new Date(Date.UTC(2023, 8, 28) + n).toISOString().replace('Z', '001Z')
    const event = { ...body, uuid, timestamp, author, integrity: '' } as GonkEvent
    const whole = { ...event, integrity: integrityOf(event, this.events.at(-1)?.integrity, digest) }
    this.events.push(whole)
    return whole
  }

  #blob(identifier: { uuid: string; version: number }, text: string) {
    const bytes = Buffer.from(text)
    this.blobs.set(blobKey(identifier), bytes)
    const { uuid, version } = identifier
    return { uuid, version, size: bytes.length, hash_type: 1 as const, hash: sha256(bytes) }
  }

  #made(event: GonkEvent, kind: Kind, uuid: string, version: number, unfit = false): ModelVersion {
    const marks = new Set<Mark>(['createPending'])
    const made: ModelVersion = { kind, uuid, version, marks, unfit }
    this.versions.push(made)
    this.#waiting.push({ event: event.uuid, of: made, isDelete: false })
    return made
  }

  /** A new object, or with `of` a new version of one. */
  object(options: { of?: ModelVersion; name?: string; text?: string; format?: string } = {}) {
    const { of } = options
    const n = this.events.length
    const uuid = of?.uuid ?? uuidOf(`${this.#seed} object ${n}`)
    const version = of === undefined ? 0 : this.#countOf(of.uuid)
    const kind = of?.kind ?? 'object'
    const text = options.text ?? (kind === 'schema' ? `${schemaText}${' '.repeat(n)}` : `file ${n}`)
    const object = {
      ...this.#blob({ uuid, version }, text),
      name: options.name ?? (kind === 'schema' ? `schema-${uuid}` : `image ${uuid}.txt`),
      format: options.format ?? (kind === 'schema' ? 'application/schema+json' : 'text/plain'),
    }
    const event = this.append(
      of === undefined
        ? { type: 'ObjectCreateEvent', action: 1, object }
        : { type: 'ObjectUpdateEvent', action: 2, object },
      n % 2 === 0 ? 'ada' : 'grace',
    )
    return this.#made(event, kind, uuid, version)
  }

  schema(text?: string): ModelVersion {
    const n = this.events.length
    const uuid = uuidOf(`${this.#seed} object ${n}`)
    const document = text ?? `${schemaText}${' '.repeat(n)}`
    const object = {
      ...this.#blob({ uuid, version: 0 }, document),
      name: `schema-${uuid}`,
      format: 'application/schema+json',
    }
    const event = this.append({ type: 'ObjectCreateEvent', action: 1, object })
    return this.#made(event, 'schema', uuid, 0, text !== undefined)
  }

  annotation(of: readonly ModelVersion[], by: ModelVersion, conforms = true): ModelVersion {
    const n = this.events.length
    const uuid = uuidOf(`${this.#seed} annotation ${n}`)
    const annotation = {
      ...this.#blob({ uuid, version: 0 }, conforms ? good(n) : bad(n)),
      schema: { uuid: by.uuid, version: by.version },
    }
    const event = this.append({
      type: 'AnnotationCreateEvent',
      action: 1,
      object_identifiers: of.map(({ uuid, version }) => ({ uuid, version })),
      annotation,
    })
    return this.#made(event, 'annotation', uuid, 0, !conforms || by.unfit)
  }

  updateAnnotation(of: ModelVersion, by: ModelVersion, conforms = true): ModelVersion {
    const version = this.#countOf(of.uuid)
    const annotation = {
      ...this.#blob({ uuid: of.uuid, version }, (conforms ? good : bad)(this.events.length)),
      schema: { uuid: by.uuid, version: by.version },
    }
    const event = this.append({ type: 'AnnotationUpdateEvent', action: 2, annotation })
    return this.#made(event, 'annotation', of.uuid, version, !conforms || by.unfit)
  }

  /** @returns false where Gonk would refuse. */
  delete(of: ModelVersion): boolean {
    const { marks, kind, uuid, version } = of
    if (marks.has('createRejected') || marks.has('deletePending')) return false
    if (marks.has('deleteAccepted')) return false
    const event = this.append(
      kind === 'annotation'
        ? { type: 'AnnotationDeleteEvent', action: 4, annotation_identifier: { uuid, version } }
        : { type: 'ObjectDeleteEvent', action: 4, object_identifier: { uuid, version } },
    )
    marks.add('deletePending')
    this.#waiting.push({ event: event.uuid, of, isDelete: true })
    return true
  }

  /** Decides one of what waits. @returns false when nothing does. */
  review(index: number, accept: boolean): boolean {
    const [waiting] = this.#waiting.splice(index % Math.max(1, this.#waiting.length), 1)
    if (waiting === undefined) return false
    this.append(
      accept
        ? { type: 'ReviewAcceptEvent', decision: 1, event_uuid: waiting.event }
        : { type: 'ReviewRejectEvent', decision: 2, event_uuid: waiting.event },
    )
    const { marks, unfit } = waiting.of
    if (waiting.isDelete) {
      marks.delete('deletePending')
      if (accept) marks.add('deleteAccepted')
    } else if (!accept || !unfit) {
      marks.delete('createPending')
      if (!accept) marks.add('createRejected')
    }
    return true
  }

  /** Accepts all that waits. */
  acceptAll(): void {
    while (this.review(0, true));
  }

  #countOf(uuid: string): number {
    return this.versions.filter((version) => version.uuid === uuid).length
  }

  /** By kind and listing. */
  counts(): Record<string, number> {
    const counts: Record<string, number> = {}
    const plurals = { object: 'objects', schema: 'schemas', annotation: 'annotations' }
    for (const kind of ['object', 'schema', 'annotation'] as const) {
      const some = this.versions.filter((version) => version.kind === kind)
      const having = (...marks: Mark[]) =>
        some.filter((version) => marks.some((mark) => version.marks.has(mark))).length
      const plural = plurals[kind]
      counts[`${plural}Accepted`] =
        some.length - having('createPending', 'createRejected', 'deleteAccepted')
      counts[`${plural}Pending`] = having('createPending', 'deletePending')
      counts[`${plural}Rejected`] = having('createRejected')
      counts[`${plural}${kind === 'schema' ? 'Deprecated' : 'Deleted'}`] = having('deleteAccepted')
    }
    return counts
  }
}

export async function writeFolder(model: GonkModel, dir: string, layout: Layout): Promise<void> {
  await mkdir(join(dir, 'depot'), { recursive: true })
  if (layout === 'files') await writeFiles(model, dir)
  else await writeSqlite(model, dir)
  for (const [key, bytes] of model.blobs) await put(blobPath(dir, key), bytes)
}

export const blobPath = (dir: string, key: string) => join(dir, 'depot', ...key.slice(0, 3), key)
export const eventPath = (dir: string, uuid: string) =>
  join(dir, 'rk', 'events', ...uuid.slice(0, 3), uuid)

async function put(path: string, bytes: Uint8Array | string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, bytes)
}

async function writeFiles({ events }: GonkModel, dir: string): Promise<void> {
  await mkdir(join(dir, 'rk', 'events'), { recursive: true })
  const [head] = events
  const tail = events.at(-1)
  if (head === undefined || tail === undefined) return
  await put(join(dir, 'rk', 'head'), head.uuid)
  await put(join(dir, 'rk', 'tail'), tail.uuid)
  for (const [i, event] of events.entries()) {
    const json = JSON.stringify({ ...event, next: events[i + 1]?.uuid ?? null })
    await put(eventPath(dir, event.uuid), json)
  }
}

async function writeSqlite({ events }: GonkModel, dir: string): Promise<void> {
  const { DatabaseSync } = await import('node:sqlite')
  const database = new DatabaseSync(join(dir, 'rk.db'))
  database.exec(`CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL,
    event JSON NOT NULL); CREATE INDEX idx_events_uuid ON events(uuid); BEGIN`)
  const insert = database.prepare('INSERT INTO events (uuid, event) VALUES (?, ?)')
  for (const event of events) insert.run(event.uuid, JSON.stringify(event))
  database.exec('COMMIT')
  database.close()
}
