// Bytes that come in: as one proposed file, or stored for a proposal to come.
import { textOfEventId } from '../../core/ids.ts'
import { spool } from '../../files/spool.ts'
import type { CatalogEntry } from '../../log/catalog.ts'
import type { AbortOptions } from '../../ports.ts'
import {
  changeFor,
  checkMediaType,
  checkMeta,
  checkName,
  recentlyProposed,
  type WantedFile,
} from './changes.ts'
import type { NodeContext } from '../context.ts'
import { proposedInfo } from './objects.ts'
import { proposeAll, requireOwner } from './proposing.ts'
import { allOf, pending, standingOf } from '../review/signed.ts'
import { ProposalReader } from './versions.ts'
import { acceptWaiting, isSame } from './waiting.ts'
import type { AddResult, ByteSource, StoredContent, UploadRequest } from '../../contract/api.ts'

/**
 * Proposes one file of any size under a name: a new object, or a new version of the one that has the
 * name. Content that is there, or was just proposed by the same key, is skipped; with `accept`, what
 * that key proposed is accepted. The bytes are taken in
 * whole before anything is stored, so that a body that ends early leaves nothing and a slow one holds
 * nothing up. Throws NOT_OWNER (with `accept`), BAD_NAME, USAGE, TOO_LARGE, TOO_MANY, DISK, CANCELLED.
 */
export async function upload(
  context: NodeContext,
  entry: CatalogEntry,
  request: UploadRequest,
  body: ByteSource,
  options: AbortOptions = {},
): Promise<AddResult> {
  const { name, mediaType, meta, accept = false } = request
  checkName(name)
  checkMediaType(mediaType)
  checkMeta(meta)
  const replica = await context.replicas.get(entry.id)
  if (accept) requireOwner(context, replica)
  using room = await context.incoming.begin(context.signer.publicKey)
  await using spooled = await spool(body, context.scratch, { ...options, room })
  // Awaited before the spool goes. Until it is proposed, nothing keeps the blocks from the collector.
  return await context.keeper.gate.shared(async () => {
    const { cid, sizeBytes } = await context.files.put(spooled.read(), options)
    const wanted: WantedFile = { name, content: cid.bytes, sizeBytes, mediaType, meta }
    const skipped = { events: [], objects: [], skipped: 1, warnings: [] }
    // Whatever waits is held: there is nothing to look for where content is new.
    const [isKnown] = await context.held.areHeld([cid.bytes])
    const author = context.signer.publicKey
    const known = isKnown ? await recentlyProposed(replica, author, wanted) : undefined
    if (known !== undefined && !accept) return skipped
    const operation = await changeFor(replica, wanted)
    if (operation === undefined) return skipped
    const reader = new ProposalReader(replica)
    if (known !== undefined && (await isSame(reader, known, operation))) {
      return { ...skipped, ...(await acceptWaiting(context, reader, [known])), skipped: 0 }
    }
    const proposals = await proposeAll(context, replica, [operation], { contents: [cid], accept })
    const made = allOf(proposals)
    const { statusOf, ...standing } = accept ? await standingOf(context, replica, made) : pending
    return {
      events: proposals.map(({ id }) => textOfEventId(id)),
      objects: proposals.map((one) =>
        proposedInfo(one, 0, statusOf({ proposal: one.id, index: 0 })),
      ),
      skipped: 0,
      warnings: [],
      ...standing,
    }
  })
}

/** Stores bytes and keeps them for a day, also when nothing names them. Throws DISK, TOO_MANY, CANCELLED. */
export async function store(
  context: NodeContext,
  body: ByteSource,
  options: AbortOptions = {},
): Promise<StoredContent> {
  const { incoming, keeper, files } = context
  using room = await incoming.begin(context.signer.publicKey)
  await using spooled = await spool(body, context.scratch, { ...options, room })
  const { sizeBytes } = spooled
  return await keeper.gate.shared(async () => {
    const cid = await incoming.keep(sizeBytes, async () => {
      return (await files.put(spooled.read(), options)).cid
    })
    await keeper.hold([cid])
    return { cid: cid.toString(), size: sizeBytes }
  })
}
