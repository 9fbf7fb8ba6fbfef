// Events and their parts as JSON for people and programs: CIDs and ids as text, keys and proofs as hex.
import type { CheckpointBody, Event, Operation, OwnerBody, Value } from '../../core/event.ts'
import { founderIndexOf, hexOf, textOfEventId, type EventId } from '../../core/ids.ts'
import type { Decision, Version } from '../../core/state.ts'
import { cidText, timeText, versionText } from '../text.ts'

export type Json = Record<string, unknown>

/** Without the marks that only the log knows (void, decisions). */
export function eventJson(event: Event): Json {
  return {
    type: 'event',
    event: textOfEventId(event.id),
    kind: event.kind,
    author: event.author,
    at: timeText(event.claimedAtMs),
    ...(event.labels && { labels: event.labels }),
    ...familyJson(event),
  }
}

function familyJson(event: Event): Json {
  if (event.family === 'genesis') {
    const { founders, kOwner, kReview, name } = event
    return { founders, kOwner, kReview, ...(name !== undefined && { name }) }
  }
  if (event.family === 'proposal') {
    const { name, operations } = event
    return { ...(name !== undefined && { name }), operations: operations.map(operationJson) }
  }
  const { tenure, depth, parents, body } = event
  return {
    tenure:
      founderIndexOf(tenure) === undefined ? textOfEventId(tenure as string as EventId) : tenure,
    depth,
    parents: parents.map(textOfEventId),
    ...bodyJson(body),
  }
}

function bodyJson(body: OwnerBody): Json {
  switch (body.kind) {
    case 'add':
      return {
        key: body.key,
        ...(body.name !== undefined && { name: body.name }),
        ...(body.proof && { proof: hexOf(body.proof) }),
      }
    case 'remove':
      return { key: body.key }
    case 'review':
      return {
        verdict: body.verdict,
        items: body.items.map(({ proposal, ranges }) => ({
          proposal: textOfEventId(proposal),
          ...(ranges && { ranges }),
        })),
        ...(body.reason !== undefined && { reason: body.reason }),
      }
    case 'endorse':
      return { operation: textOfEventId(body.operation) }
    case 'policy':
      return { kReview: body.kReview }
    case 'cp':
      return checkpointJson(body.checkpoint)
    case 'release':
      return {
        tag: body.tag,
        root: cidText(body.root),
        ...(body.text !== undefined && { text: body.text }),
      }
    case 'unknown':
      return {}
  }
}

function checkpointJson({ height, previous, heads, without, root }: CheckpointBody): Json {
  return {
    height,
    ...(previous !== undefined && { previous: textOfEventId(previous) }),
    heads: heads.map(textOfEventId),
    without: without.map(textOfEventId),
    root: cidText(root),
  }
}

export function operationJson(operation: Operation): Json {
  return {
    op: operation.op,
    ...('object' in operation && { object: operation.object }),
    ...('base' in operation && { base: operation.base.map(versionText) }),
    ...('value' in operation && { value: valueJson(operation.value) }),
    ...(operation.labels && { labels: operation.labels }),
  }
}

/** `meta` stays the JSON text it is; an annotation's body is `text` or `cid`. */
export function valueJson(value: Value): Json {
  if (value.type === 'file') {
    const { type, name, mediaType, sizeBytes, content, meta } = value
    const file = { type, name, mediaType, size: sizeBytes, cid: cidText(content) }
    return meta === undefined ? file : { ...file, meta }
  }
  const { type, targets, schema, sizeBytes, inline, content } = value
  return {
    type,
    targets: targets.map(versionText),
    schema: versionText(schema),
    size: sizeBytes,
    ...(inline && { text: new TextDecoder().decode(inline) }),
    ...(content && { cid: cidText(content) }),
  }
}

export function decisionJson(decision: Decision): Json {
  const { from, to, status } = decision
  if (decision.status === 'pending') return { from, to, status }
  return { from, to, status, by: textOfEventId(decision.by) }
}

/** @param acceptedBy the review that dates it. */
export function versionJson(version: Version, acceptedBy: EventId): Json {
  return {
    version: versionText(version.id),
    op: version.op,
    ...(version.base.length > 0 && { base: version.base.map(versionText) }),
    acceptedBy: textOfEventId(acceptedBy),
    ...(version.value && { value: valueJson(version.value) }),
  }
}
