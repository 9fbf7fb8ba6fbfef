// Events that were signed elsewhere, by people whose keys this node does not hold.
import { CID } from 'multiformats/cid'
import { GonkError } from '../../core/errors.ts'
import type { AnnotationValue, Event } from '../../core/event.ts'
import { type EventId, eventIdOfBlock, textOfEventId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import { throwIfAborted } from '../../files/concurrent.ts'
import type { CatalogEntry } from '../../log/catalog.ts'
import type { AbortOptions, CheckOptions } from '../../ports.ts'
import { takeIn } from '../../replica/intake.ts'
import type { Replica } from '../../replica/replica.ts'
import {
  checksOfRequest,
  conformityOf,
  DOCUMENT_BYTES_MAX,
  documentOf,
} from '../annotations/conformity.ts'
import type { NodeContext } from '../context.ts'
import type { Submitted } from '../../contract/api.ts'
import { versionText } from '../text.ts'

const EVENTS_MAX = 1_000
/** Of documents in memory at once; one that is a file may have 8 MiB. */
const DOCUMENT_BYTES_AT_ONCE = 32 << 20
/** Standard alphabet, padded: every block has exactly one text. */
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/

interface Given {
  readonly index: number
  readonly block: Uint8Array
  readonly id: EventId
}

/**
 * Stores signed events as if they were made here: on disk before this resolves, then told to peers.
 * What is refused is named by its place among `events`, with a reason. Content they name need not be
 * here; an annotation whose schema and document are here must conform, or nothing is stored at all.
 * Throws NOT_CONFORMING, BAD_SCHEMA, TOO_COSTLY (`details.index`), USAGE, TOO_LARGE, CANCELLED.
 */
export async function submit(
  context: NodeContext,
  entry: CatalogEntry,
  events: readonly string[],
  { signal }: AbortOptions = {},
): Promise<Submitted> {
  if (events.length > EVENTS_MAX) {
    throw new GonkError('TOO_LARGE', `${events.length} events; at most ${EVENTS_MAX} at once`)
  }
  const replica = await context.replicas.get(entry.id)
  const refused: { index: number; reason: string; what: string }[] = []
  const given: Given[] = []
  for (const [index, text] of events.entries()) {
    const block = blockOf(text)
    if (typeof block === 'string') refused.push({ index, reason: 'malformed', what: block })
    else given.push({ index, block, id: eventIdOfBlock(block, context.crypto.sha256) })
  }
  const { log } = replica
  const blocks = given.map(({ block }) => block)
  // Signatures are checked first: what nobody signed costs no look at any schema.
  const intake = await takeIn({ log, crypto: context.crypto }, blocks, replica.id)
  const checks = { signal, budget: checksOfRequest() }
  await requireConformity(context, replica, intake.events, given, checks)
  throwIfAborted(signal)
  const signed = intake.events.map(({ block }) => block)
  const result = await replica.submit(signed, 'own')
  await context.incoming.proposed(contentsOf(result.stored))
  const reasons = new Map([...intake.refused, ...result.refused].map((one) => [one.event, one]))
  for (const { index, id } of given) {
    const reason = reasons.get(id)
    if (reason) refused.push({ index, reason: reason.refused, what: reason.what })
  }
  return {
    stored: result.stored.map(({ id }) => textOfEventId(id)),
    known: intake.known + result.known,
    refused: refused.sort((a, b) => a.index - b.index),
  }
}

/** @returns why not, for what is not the one base64 text of a block. */
function blockOf(text: string): Uint8Array | string {
  if (text.length > Math.ceil(limits.eventBytesMax / 3) * 4) return 'larger than any event'
  if (!BASE64.test(text)) return 'not base64'
  const block = Buffer.from(text, 'base64')
  return block.toString('base64') === text ? new Uint8Array(block) : 'not base64'
}

async function requireConformity(
  context: NodeContext,
  replica: Replica,
  events: readonly Event[],
  given: readonly Given[],
  options: CheckOptions,
): Promise<void> {
  const found = events.flatMap((event) =>
    event.family === 'proposal' ? annotationsIn(event.id, event.operations) : [],
  )
  for (const some of inBatches(found)) {
    throwIfAborted(options.signal)
    const documents = await Promise.all(
      some.map(({ value }) => documentOf(context, value, options)),
    )
    const items = some.map(({ proposal, index, value }, n) => {
      return { id: { proposal, index }, schema: value.schema, document: documents[n] }
    })
    const answers = await conformityOf(context, replica, items, options)
    for (const [n, { status, code, errors }] of answers.entries()) {
      if (status !== 'invalid') continue
      const { proposal, index } = some[n] as Found
      const [first] = errors
      const why = first ? `${first.path || '/'} ${first.text}` : (code ?? status)
      throw new GonkError(
        code === 'BAD_SCHEMA' || code === 'TOO_COSTLY' ? code : 'NOT_CONFORMING',
        `annotation ${versionText({ proposal, index })} does not conform: ${why}`,
        {
          details: {
            index: given.find(({ id }) => id === proposal)?.index,
            operation: index,
            errors,
          },
        },
      )
    }
  }
}

/** What the events propose. */
function contentsOf(events: readonly Event[]): CID[] {
  const operations = events.flatMap((event) =>
    event.family === 'proposal' ? event.operations : [],
  )
  const contents = operations.map((operation) =>
    'value' in operation ? operation.value.content : undefined,
  )
  return contents.flatMap((content) => (content === undefined ? [] : [CID.decode(content)]))
}

function* inBatches(found: readonly Found[]): Generator<readonly Found[]> {
  let batch: Found[] = []
  let bytes = 0
  for (const one of found) {
    const more = one.value.inline?.length ?? DOCUMENT_BYTES_MAX
    if (bytes + more > DOCUMENT_BYTES_AT_ONCE) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(one)
    bytes += more
  }
  if (batch.length > 0) yield batch
}

interface Found {
  readonly proposal: EventId
  readonly index: number
  readonly value: AnnotationValue
}

function annotationsIn(
  proposal: EventId,
  operations: Extract<Event, { family: 'proposal' }>['operations'],
): Found[] {
  return operations.flatMap((operation, index) =>
    'value' in operation && operation.value.type === 'annotation'
      ? [{ proposal, index, value: operation.value }]
      : [],
  )
}
