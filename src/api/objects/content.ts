// The bytes of one version of an object, from the blocks that are here.
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { GonkError } from '../../core/errors.ts'
import type { AnnotationValue, FileValue, Value } from '../../core/event.ts'
import { cidOfDigest, textOfEventId } from '../../core/ids.ts'
import { objectOf } from '../../core/touched.ts'
import { isRaw, parseFileNode } from '../../files/dag.ts'
import type { FileStore } from '../../ports.ts'
import type { Replica } from '../../replica/replica.ts'
import type { NodeContext } from '../context.ts'
import { resolveAnyObject } from './object-detail.ts'
import { ProposalReader, resolveVersion, valueOf } from './versions.ts'
import type { Content } from '../../contract/api.ts'

type Needs = Pick<NodeContext, 'files' | 'held' | 'network' | 'crypto'>

const ANNOTATION_MEDIA_TYPE = 'application/json'

/**
 * What an object holds now or, with `version`, held in one of its versions of any status. Its size is
 * that of its blocks. Throws NOT_FOUND, AMBIGUOUS; NOT_HERE (`details`: `cid`, `peers` that might have
 * it) unless all of its blocks came here.
 */
export async function content(
  context: Needs,
  replica: Replica,
  ref: string,
  version?: string,
): Promise<Content> {
  const value = await valueAsked(context, replica, ref, version)
  if (value.content === undefined) return inlineContent(context, value as AnnotationValue)
  const cid = CID.decode(value.content)
  const [isHeld] = await context.held.areHeld([value.content])
  if (isHeld !== true) throw notHere(context, replica, cid)
  const { files } = context
  const size = await fileSize(files, cid)
  return {
    ...nameOf(value),
    size,
    cid: cid.toString(),
    read({ offset = 0, length } = {}, options) {
      checkRange(offset, size)
      return files.read(cid, {
        ...options,
        offset,
        ...(length !== undefined && { lengthBytes: length }),
      })
    },
  }
}

async function valueAsked(
  context: Needs,
  replica: Replica,
  ref: string,
  version: string | undefined,
): Promise<Value> {
  const row = await resolveAnyObject(replica, ref)
  if (row.purged) throw new GonkError('NOT_FOUND', `object ${ref} was purged`)
  if (version === undefined) {
    if (row.current !== undefined) return row.current
    throw new GonkError('NOT_FOUND', `nothing of object ${ref} is accepted, or it is deleted`, {
      hint: 'name one of its versions, EVENT:INDEX',
    })
  }
  const { id, read, operation } = await resolveVersion(new ProposalReader(replica), version)
  const value = valueOf(operation)
  const isOfObject = objectOf(read.proposal, id.index, context.crypto.sha256) === row.id
  if (value !== undefined && isOfObject) return value
  throw new GonkError('NOT_FOUND', `object ${ref} has no version ${version} that holds anything`)
}

function nameOf(value: Value): Pick<Content, 'name' | 'mediaType'> {
  if (value.type === 'file') return { name: value.name, mediaType: value.mediaType }
  return { name: 'annotation.json', mediaType: ANNOTATION_MEDIA_TYPE }
}

function inlineContent({ crypto }: Needs, { inline }: AnnotationValue): Content {
  const bytes = inline ?? new Uint8Array(0)
  return {
    name: 'annotation.json',
    mediaType: ANNOTATION_MEDIA_TYPE,
    size: bytes.length,
    cid: cidOfDigest(crypto.sha256(bytes), raw.code).toString(),
    async *read({ offset = 0, length = Infinity } = {}) {
      checkRange(offset, bytes.length)
      yield bytes.subarray(offset, offset + length)
    },
  }
}

function checkRange(offset: number, size: number): void {
  if (offset > size) throw new GonkError('BAD_RANGE', `the file has ${size} bytes`)
}

function notHere({ network }: Needs, replica: Replica, cid: CID): GonkError {
  const peers = network.peersOf(replica.id)
  const who = peers.length > 0 ? `peers that may have it: ${peers.join(', ')}` : 'no peer is there'
  return new GonkError('NOT_HERE', `content ${cid} is not on this node; ${who}`, {
    details: { cid: cid.toString(), dataset: textOfEventId(replica.id), peers },
  })
}

/** Bytes of a file as its root block has them. Throws NOT_HERE, BAD_BLOCK. */
export async function fileSize(files: FileStore, cid: CID): Promise<FileValue['sizeBytes']> {
  const block = await files.blocks.get(cid)
  if (block === undefined) {
    throw new GonkError('NOT_HERE', `block ${cid} is missing or damaged`, {
      details: { cid: cid.toString() },
    })
  }
  return isRaw(cid) ? block.length : parseFileNode(cid, block).sizeBytes
}
