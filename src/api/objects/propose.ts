// Many changes at once, by people who name things: names and ids into operations on what is here.
import { CID } from 'multiformats/cid'
import { GonkError } from '../../core/errors.ts'
import { type FileValue, type Operation, SCHEMA_MEDIA_TYPE } from '../../core/event.ts'
import { textOfEventId } from '../../core/ids.ts'
import { isFileBlock } from '../../files/dag.ts'
import { mediaTypeOf } from '../../files/folder.ts'
import type { CatalogEntry } from '../../log/catalog.ts'
import type { Replica } from '../../replica/replica.ts'
import { checkMediaType, checkMeta, checkName, fileNamed } from './changes.ts'
import { fileSize } from './content.ts'
import type { NodeContext } from '../context.ts'
import { allOf, standingOf } from '../review/signed.ts'
import { resolveObject } from './objects.ts'
import { liveObject } from './proposals.ts'
import { proposeAll, requireOwner } from './proposing.ts'
import type { Proposed, ProposedOperation, ProposeRequest } from '../../contract/api.ts'
import { headsOf } from './versions.ts'

/**
 * Proposes changes whose content is here already, all or none of them (an error names the first that
 * cannot be, `details.index`). Throws NOT_OWNER (with `accept`), BAD_NAME, BAD_CID, EXISTS, NOT_FOUND,
 * AMBIGUOUS, NOT_HERE, USAGE, TOO_LARGE.
 */
export async function propose(
  context: NodeContext,
  entry: CatalogEntry,
  { operations, accept = false }: ProposeRequest,
): Promise<Proposed> {
  const replica = await context.replicas.get(entry.id)
  if (accept) requireOwner(context, replica)
  // What is here must not be collected before it is proposed.
  return context.keeper.gate.shared(async () => {
    const resolver = new Resolver(context, replica)
    const resolved: Operation[] = []
    for (const [index, operation] of operations.entries()) {
      resolved.push(await at(index, () => resolver.resolve(operation)))
    }
    const { contents } = resolver
    const proposals = await proposeAll(context, replica, resolved, { contents, accept })
    await context.incoming.proposed(contents)
    const events = proposals.map(({ id }) => textOfEventId(id))
    if (!accept) return { events }
    const { approvals } = await standingOf(context, replica, allOf(proposals))
    return { events, ...(approvals && { approvals }) }
  })
}

async function at<T>(index: number, task: () => Promise<T>): Promise<T> {
  try {
    return await task()
  } catch (error) {
    if (!(error instanceof GonkError)) throw error
    const { code, hint, details } = error
    throw new GonkError(code, `operation ${index}: ${error.message}`, {
      hint,
      details: { ...details, index },
      cause: error,
    })
  }
}

class Resolver {
  readonly contents: CID[] = []
  readonly #context: NodeContext
  readonly #replica: Replica
  /** That this batch gives away. */
  readonly #names = new Set<string>()

  constructor(context: NodeContext, replica: Replica) {
    this.#context = context
    this.#replica = replica
  }

  async resolve(operation: ProposedOperation): Promise<Operation> {
    switch (operation.op) {
      case 'create':
        return { op: 'create', value: await this.#newFile(operation) }
      case 'update':
        return this.#update(operation)
      case 'delete': {
        const row = await liveObject(this.#replica, operation.object)
        return { op: 'delete', object: row.id, base: headsOf(row) }
      }
      case 'purge': {
        const row = await resolveObject(this.#replica, operation.object)
        if (row.purged) throw new GonkError('NOT_FOUND', `${operation.object} is purged already`)
        return { op: 'purge', object: row.id }
      }
    }
  }

  async #newFile(wanted: Extract<ProposedOperation, { op: 'create' }>): Promise<FileValue> {
    const { name, meta } = wanted
    checkMediaType(wanted.mediaType)
    checkMeta(meta)
    await this.#takeName(name)
    const mediaType = wanted.mediaType ?? mediaTypeOf(name)
    const file = { type: 'file' as const, name, mediaType, ...(await this.#contentOf(wanted.cid)) }
    return meta === undefined ? file : { ...file, meta }
  }

  async #update(wanted: Extract<ProposedOperation, { op: 'update' }>): Promise<Operation> {
    const { object, name, mediaType, meta, cid } = wanted
    const row = await liveObject(this.#replica, object)
    const { current } = row
    if (current?.type !== 'file' || current.mediaType === SCHEMA_MEDIA_TYPE) {
      throw new GonkError('USAGE', `${object} is not a file`, {
        hint: 'schemas and annotations have requests of their own, which check them',
      })
    }
    checkMediaType(mediaType)
    checkMeta(meta)
    if (name !== undefined && name !== current.name) await this.#takeName(name)
    const value: FileValue = {
      ...current,
      ...(cid !== undefined && (await this.#contentOf(cid))),
      ...(name !== undefined && { name }),
      ...(mediaType !== undefined && { mediaType }),
      ...(meta !== undefined && { meta }),
    }
    return { op: 'update', object: row.id, base: headsOf(row), value }
  }

  async #takeName(name: string): Promise<void> {
    checkName(name)
    if (this.#names.has(name) || (await fileNamed(this.#replica, name))) {
      throw new GonkError('EXISTS', `another object is named "${name}"`, {
        hint: 'update that object, or choose another name',
      })
    }
    this.#names.add(name)
  }

  /** The size comes from the blocks, never from whoever asks. */
  async #contentOf(text: string): Promise<Pick<FileValue, 'content' | 'sizeBytes'>> {
    const cid = fileCid(text)
    const [isHeld] = await this.#context.held.areHeld([cid.bytes])
    if (isHeld !== true) {
      throw new GonkError('NOT_HERE', `content ${text} is not on this node`, {
        hint: 'upload it first',
        details: { cid: text },
      })
    }
    this.contents.push(cid)
    return { content: cid.bytes, sizeBytes: await fileSize(this.#context.files, cid) }
  }
}

/** Throws BAD_CID for what cannot be the CID of a file. */
function fileCid(text: string): CID {
  let cid: CID | undefined
  try {
    cid = CID.parse(text).toV1()
  } catch {
    // Said below, as for what is a CID of something else.
  }
  if (cid && isFileBlock(cid)) return cid
  throw new GonkError('BAD_CID', `"${text.slice(0, 100)}" is not the CID of a file`, {
    hint: 'give a CIDv1 of raw or dag-pb with sha2-256, as storing content answers',
  })
}
