// What may be annotated: which version of which object a reference means.
import { GonkError } from '../../core/errors.ts'
import type { Value } from '../../core/event.ts'
import type { ObjectId, VersionId } from '../../core/ids.ts'
import type { ObjectRow, Version } from '../../core/state.ts'
import { objectOf } from '../../core/touched.ts'
import { sha256 } from '../../crypto.ts'
import { rowOf } from '../objects/objects.ts'
import { onlyOne } from '../resolve.ts'
import { isDeprecated, isSchema } from './schema-lookup.ts'
import {
  decisionOn,
  isVersion,
  isWholeVersion,
  type ProposalReader,
  resolveVersion,
  valueOf,
  versionsOf,
  versionsThatStand,
} from '../objects/versions.ts'

const CANDIDATES = 3

/**
 * A name or an id (by unique prefix): the current version, or where nothing is accepted the newest
 * that waits. `EVENT:INDEX`: that one. Throws NOT_FOUND (deleted ones, too), AMBIGUOUS,
 * ALREADY_DECIDED (it was rejected), USAGE (a schema or an annotation).
 */
export async function resolveTarget(reader: ProposalReader, ref: string): Promise<VersionId> {
  const { log } = reader.replica
  const named = await objectNamed(reader, ref)
  if (named === undefined && isVersion(ref)) return exactTarget(reader, ref)
  const row = await rowOf(log, named ?? (await objectById(reader, ref)))
  requirePresent(row, ref)
  const head = row.versions[row.heads[0] ?? -1]
  if (head !== undefined) {
    requireFile(head.value, ref)
    return head.id
  }
  const versions = versionsThatStand(await versionsOf(reader, row.id))
  const newest = versions.findLast(
    ({ operation, decision }) => 'value' in operation && decision.status !== 'rejected',
  )
  if (newest === undefined) throw rejected(ref)
  requireFile(valueOf(newest.operation), ref)
  return newest.id
}

async function exactTarget(reader: ProposalReader, ref: string): Promise<VersionId> {
  const { id, read, operation } = await resolveVersion(reader, ref)
  requireFile(valueOf(operation), ref)
  if (decisionOn(read.decisions, id.index).status === 'rejected') throw rejected(ref)
  const object = objectOf(read.proposal, id.index, sha256)
  const row = await rowOf(reader.replica.log, object)
  requirePresent(row, ref)
  if (isDeprecated(row, id)) throw deleted(ref)
  return id
}

/** The object a reference means, also a deleted one. Throws NOT_FOUND, AMBIGUOUS. */
export async function resolveAnnotated(reader: ProposalReader, ref: string): Promise<ObjectId> {
  const named = await objectNamed(reader, ref)
  if (named !== undefined) return named
  if (!isVersion(ref)) return objectById(reader, ref)
  const { id, read } = await resolveVersion(reader, ref)
  return objectOf(read.proposal, id.index, sha256)
}

async function objectNamed({ replica }: ProposalReader, ref: string) {
  if (isWholeVersion(ref)) return undefined
  const [claim] = await replica.log.names.claimsOn('file', ref)
  return claim?.object
}

async function objectById({ replica }: ProposalReader, ref: string): Promise<ObjectId> {
  if (!/^[0-9a-f]{1,64}$/.test(ref)) {
    const [schema] = await replica.log.names.claimsOn('schema', ref)
    if (schema) throw notAnObject(ref)
    throw new GonkError('NOT_FOUND', `no object "${ref}" here`, {
      hint: 'name what is not accepted yet by its id, or as EVENT:INDEX',
    })
  }
  return onlyOne(await replica.log.history.objectsByPrefix(ref, CANDIDATES), ref, 'object', String)
}

function requireFile(value: Value | undefined, ref: string): void {
  if (value?.type !== 'file' || isSchema(value)) throw notAnObject(ref)
}

function requirePresent({ purged, heads, versions }: ObjectRow, ref: string): void {
  const head: Version | undefined = versions[heads[0] ?? -1]
  if (purged || head?.op === 'delete') throw deleted(ref)
}

function notAnObject(ref: string): GonkError {
  return new GonkError('USAGE', `${ref} is not an object: only objects can be annotated`, {
    hint: 'name a file of the dataset',
  })
}

function deleted(ref: string): GonkError {
  return new GonkError('NOT_FOUND', `object ${ref} is deleted`, {
    hint: 'annotate another version',
  })
}

function rejected(ref: string): GonkError {
  return new GonkError('ALREADY_DECIDED', `object ${ref} was rejected`, {
    hint: 'annotate another version',
  })
}
