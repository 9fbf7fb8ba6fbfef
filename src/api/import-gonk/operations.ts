// Operations of Gonk as operations of proposals: what they build on, what they hold, what they say.
import type { CID } from 'multiformats/cid'
import type { AnnotationValue, FileValue, Operation } from '../../core/event.ts'
import { objectIdOf, type Sha256, type VersionId } from '../../core/ids.ts'
import { readWholeBlob } from '../../importers/gonk/depot.ts'
import type { GonkObject } from '../../importers/gonk/events.ts'
import type { GonkFolder } from '../../importers/gonk/folder.ts'
import {
  type GonkOperation,
  type GonkVersion,
  isAccepted,
  isRejected,
} from '../../importers/gonk/history.ts'
import type { Blobs } from './blobs.ts'
import type { Imported } from './known.ts'
import { labelsOf, mediaTypeOf, nameOf } from './words.ts'

/** What an update of one thing may build on: the newest version of each kind so far. */
interface Newest {
  accepted?: GonkVersion
  open?: GonkVersion
  any?: GonkVersion
}

export interface OperationsNeeds {
  readonly folder: GonkFolder
  readonly blobs: Blobs
  readonly imported: Imported
  readonly sha256: Sha256
}

export class GonkOperations {
  readonly #needs: OperationsNeeds
  readonly #newest = new Map<GonkVersion, Newest>()
  readonly #bases = new Map<GonkVersion, GonkVersion>()
  readonly #adrift = new Set<GonkVersion>()

  constructor(needs: OperationsNeeds) {
    this.#needs = needs
  }

  /**
   * Finds what updates build on: Gonk's versions stand each for itself, ours hold only where what
   * they build on does. So each builds on the newest accepted one before it, where there is one.
   * Call it with all operations, in the order of the log, before {@link operationOf}.
   */
  note(operations: readonly GonkOperation[]): void {
    for (const operation of operations) {
      if (operation.op === 'delete') continue
      const newest = this.#newest.get(operation.first) ?? {}
      this.#newest.set(operation.first, newest)
      const base = newest.accepted ?? newest.open ?? newest.any
      if (base !== undefined) this.#bases.set(operation, base)
      newest.any = operation
      if (isAccepted(operation) && this.isFit(operation)) {
        const isHeld = base === undefined || (base === newest.accepted && !this.#adrift.has(base))
        if (!isHeld) this.#adrift.add(operation)
        newest.accepted = operation
      } else if (!isRejected(operation)) newest.open = operation
    }
  }

  /** Whether it may be accepted here, if Gonk did. */
  isFit(operation: GonkOperation): boolean {
    return operation.op === 'delete' || !this.#needs.blobs.unfit.has(operation)
  }

  /** How many are accepted and not in effect: what they build on was not accepted. */
  get adrift(): number {
    return this.#adrift.size
  }

  /** Files whose blocks are all here, to be kept for these operations. */
  contentsOf(operations: readonly GonkOperation[]): CID[] {
    const { contents, missing } = this.#needs.blobs
    return operations.flatMap((operation) => {
      if (operation.op === 'delete' || missing.has(operation)) return []
      const cid = contents.get(operation)
      return cid === undefined ? [] : [cid]
    })
  }

  async operationOf(operation: GonkOperation): Promise<Operation> {
    const labels = labelsOf(operation)
    if (operation.op === 'delete') {
      const base = [this.#placeOf(operation.of)]
      return { op: 'delete', object: this.#objectOf(operation.of), base, labels }
    }
    const value = await this.#valueOf(operation)
    if (operation.op === 'create') return { op: 'create', value, labels }
    const base = [this.#placeOf(this.#bases.get(operation) as GonkVersion)]
    return { op: 'update', object: this.#objectOf(operation), base, value, labels }
  }

  #placeOf(version: GonkVersion): VersionId {
    const place = this.#needs.imported.places.get(version)
    if (place !== undefined) return place
    throw new Error(`${version.uuid}:${version.version} is needed before it is proposed`)
  }

  #objectOf({ first }: GonkVersion) {
    return objectIdOf(this.#placeOf(first), this.#needs.sha256)
  }

  async #valueOf(version: GonkVersion): Promise<FileValue | AnnotationValue> {
    const { blob, schema, targets } = version
    const { folder, blobs } = this.#needs
    const content = blobs.contents.get(version)?.bytes
    if (schema === undefined) {
      return {
        type: 'file',
        name: nameOf(blob as GonkObject),
        mediaType: mediaTypeOf(version),
        sizeBytes: blob.size,
        content: content as Uint8Array,
      }
    }
    return {
      type: 'annotation',
      targets: targets.map((target) => this.#placeOf(target)),
      schema: this.#placeOf(schema),
      sizeBytes: blob.size,
      ...(content ? { content } : { inline: await readWholeBlob(folder, blob) }),
    }
  }
}

/**
 * Operations in parts: what one needs is in a part before its own. Their order is kept within a
 * part, and among the versions of one thing.
 */
export function levelsOf(operations: readonly GonkOperation[]): GonkOperation[][] {
  const levelOf = new Map<GonkOperation, number>()
  const levels: GonkOperation[][] = []
  for (const operation of operations) {
    const after = neededBy(operation).map((needed) => (levelOf.get(needed) ?? -1) + 1)
    const level = Math.max(0, ...after)
    levelOf.set(operation, level)
    const part = (levels[level] ??= [])
    part.push(operation)
  }
  return levels
}

/** What must have been proposed before; an update may build on any version before it. */
function neededBy(operation: GonkOperation): readonly GonkVersion[] {
  if (operation.op === 'delete') return [operation.of]
  const { previous, schema, targets } = operation
  return [previous, schema, ...targets].filter((version) => version !== undefined)
}
