// Schemas of a dataset: adding them, listing them, showing one, taking one out of use.
import { GonkError } from '../../core/errors.ts'
import { type FileValue, type Operation, SCHEMA_MEDIA_TYPE } from '../../core/event.ts'
import { hexOf, type ObjectId, textOfEventId } from '../../core/ids.ts'
import { namePathProblem } from '../../core/names.ts'
import { objectOf } from '../../core/touched.ts'
import type {
  AddSchemaRequest,
  CommonSchema,
  Removed,
  SchemaAdded,
  SchemaDetail,
  SchemaInfo,
} from '../../contract/api.ts'
import { sha256 } from '../../crypto.ts'
import type { Replica } from '../../replica/replica.ts'
import { commonSchemas as shipped } from '../../schemas/common.ts'
import { readWhole, SCHEMA_BYTES_MAX } from './conformity.ts'
import type { NodeContext } from '../context.ts'
import { proposeDeletions } from '../objects/deletions.ts'
import { rowOf } from '../objects/objects.ts'
import { proposeAll } from '../objects/proposing.ts'
import { withReasons } from '../review/reasons.ts'
import { allOf, pending, standingOf } from '../review/signed.ts'
import {
  type Created,
  createdSchemas,
  newestSchema,
  ownPendingSchema,
  resolveSchema,
  type Schema,
  schemaInfo,
} from './schema-lookup.ts'
import { versionText } from '../text.ts'
import { headsOf, ProposalReader, versionInfosOf, versionsOf } from '../objects/versions.ts'

const PREFIX = 'schema-'
const LISTED_MAX = 10_000

/**
 * Proposes a schema, or a new version of the one that owns the name. Where that waits for a
 * decision itself, of the one this node proposed. Throws BAD_NAME, TOO_LARGE, BAD_SCHEMA,
 * TOO_COSTLY, EXISTS (it is the newest version already), NOT_OWNER (with `accept`).
 */
export async function addSchema(
  context: NodeContext,
  replica: Replica,
  { name, document, accept = false }: AddSchemaRequest,
): Promise<SchemaAdded> {
  checkName(name)
  if (!document.isWellFormed()) {
    throw new GonkError('BAD_SCHEMA', 'the schema is not Unicode text', { hint: 'give JSON text' })
  }
  const bytes = Buffer.from(document)
  await context.validator.checkSchema(bytes)
  return context.keeper.gate.shared(async () => {
    const { cid, sizeBytes } = await context.files.put([bytes])
    const mediaType = SCHEMA_MEDIA_TYPE
    const value: FileValue = { type: 'file', name, mediaType, sizeBytes, content: cid.bytes }
    const operation = await operationFor(replica, value, accept)
    const options = { contents: [cid], accept }
    const [proposal] = await proposeAll(context, replica, [operation], options)
    if (proposal === undefined) throw new GonkError('INTERNAL', 'nothing was proposed')
    const reader = new ProposalReader(replica)
    const object = objectOf(proposal, 0, sha256)
    const { statusOf, ...standing } = accept
      ? await standingOf(context, replica, allOf([proposal]))
      : pending
    const decision = statusOf({ proposal: proposal.id, index: 0 })
    const schema: Schema = {
      ...{ object, row: await rowOf(replica.log, object), id: { proposal: proposal.id, index: 0 } },
      ...{ value, decision, isExact: true },
    }
    const event = textOfEventId(proposal.id)
    return { event, schema: await schemaInfo(reader, schema), ...standing }
  })
}

function checkName(name: string): void {
  const problem = !name.startsWith(PREFIX)
    ? `begins with ${PREFIX}`
    : name.includes('@')
      ? 'has no @, which stands before the number of a version'
      : name === name.normalize('NFC')
        ? namePathProblem(name)
        : 'is NFC text'
  if (problem === undefined) return
  throw new GonkError('BAD_NAME', `"${name}": the name of a schema ${problem}`, {
    hint: 'choose a name such as schema-boxes',
  })
}

async function operationFor(
  replica: Replica,
  value: FileValue,
  accept: boolean,
): Promise<Operation> {
  const [claim] = await replica.log.names.claimsOn('schema', value.name)
  if (claim) {
    const row = await rowOf(replica.log, claim.object)
    if (row.current?.type === 'file') requireNew(row.current, value)
    return { op: 'update', object: row.id, base: headsOf(row), value }
  }
  // What builds on an undecided version cannot come into force at once.
  const pending = accept ? undefined : await ownPending(replica, value)
  if (pending === undefined) return { op: 'create', value }
  return { op: 'update', object: pending.object, base: [pending.newest], value }
}

async function ownPending(replica: Replica, value: FileValue) {
  const pending = await ownPendingSchema(new ProposalReader(replica), value.name)
  if (pending) requireNew(pending.value, value)
  return pending
}

function requireNew(before: FileValue, { name, content }: FileValue): void {
  if (hexOf(before.content) !== hexOf(content) || before.name !== name) return
  throw new GonkError('EXISTS', `${name} is exactly this document already`, {
    hint: 'there is nothing to do',
  })
}

/**
 * One schema a name, in the order of their names: the current version; of those that have none, one
 * that waits for a decision, or one that was taken out of use. Bounded.
 */
export async function listSchemas(replica: Replica): Promise<SchemaInfo[]> {
  const reader = new ProposalReader(replica)
  const infos = new Map<string, SchemaInfo>()
  const take = async (object: ObjectId) => {
    const info = await schemaInfo(reader, await newestSchema(reader, object))
    if (!infos.has(info.name) && infos.size < LISTED_MAX) infos.set(info.name, info)
  }
  for await (const { name, object } of replica.log.names.claims('schema')) {
    if (!infos.has(name)) await take(object)
    if (infos.size === LISTED_MAX) break
  }
  for (const found of await unclaimed(reader)) {
    for (const [name, { object }] of found) if (!infos.has(name)) await take(object)
  }
  return [...infos.values()].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
}

/** By names they were created under, those that come before others first: see {@link resolveSchema}. */
async function unclaimed(reader: ProposalReader): Promise<ReadonlyMap<string, Created>[]> {
  const ours = new Map<string, Created>()
  const once = new Map<string, Created>()
  const others = new Map<string, Created>()
  for (const status of ['pending', 'accepted'] as const) {
    for await (const created of createdSchemas(reader, status)) {
      const { value, own, byOwner } = created
      const group = status === 'accepted' ? once : own || byOwner ? ours : others
      const known = group.get(value.name)
      const isBetter = known === undefined ? group.size < LISTED_MAX : own && !known.own
      if (isBetter) group.set(value.name, created)
    }
  }
  return [ours, once, others]
}

/** Throws NOT_FOUND, AMBIGUOUS, and NOT_HERE for a document that is not on this node. */
export async function showSchema(
  { files }: Pick<NodeContext, 'files'>,
  replica: Replica,
  ref: string,
): Promise<SchemaDetail> {
  const reader = new ProposalReader(replica)
  const schema = await resolveSchema(reader, ref)
  const { row, object, value } = schema
  const bytes = await readWhole(files, value.content, SCHEMA_BYTES_MAX)
  if (bytes === undefined) throw new GonkError('NOT_HERE', `the document of ${ref} is not here`)
  if (bytes.length > SCHEMA_BYTES_MAX) {
    throw new GonkError('TOO_LARGE', `${ref} has more than ${SCHEMA_BYTES_MAX} bytes`, {
      hint: 'nothing can be annotated with it; reject it',
    })
  }
  return {
    ...(await schemaInfo(reader, schema)),
    document: new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes),
    history: await withReasons(replica.log, versionInfosOf(row, await versionsOf(reader, object))),
  }
}

/**
 * Proposes the deletion of one version; the others stay as they are.
 * Throws NOT_FOUND, AMBIGUOUS, ALREADY_DECIDED (it was rejected, or is out of use already).
 */
export async function deprecateSchema(
  context: NodeContext,
  replica: Replica,
  ref: string,
): Promise<Removed> {
  const reader = new ProposalReader(replica)
  const schema = await resolveSchema(reader, ref)
  const { status } = await schemaInfo(reader, schema)
  if (status === 'rejected' || status === 'deprecated' || status === 'purged') {
    const version = versionText(schema.id)
    throw new GonkError('ALREADY_DECIDED', `${ref} (${version}) is ${status} already`, {
      hint: 'there is nothing to do',
    })
  }
  return proposeDeletions(context, replica, [
    { op: 'delete', object: schema.object, base: [schema.id] },
  ])
}

/** The schemas that come with this program, each with an example. */
export function commonSchemas(): CommonSchema[] {
  return shipped.map(({ schema, ...others }) => ({ ...others, document: schema }))
}
