// Operations of a proposal ⇄ dag-cbor fields.
import type { AnnotationValue, FileValue, Operation, Value } from './event.ts'
import { bytesOfHex, cidBytesOf, type VersionId } from './ids.ts'
import { limits } from './limits.ts'
import { namePathProblem } from './names.ts'
import {
  asMap,
  contentCid,
  labelsOf,
  objectId,
  onlyKeys,
  type Plain,
  refuse,
  some,
  text,
  uint,
  versionOf,
  versions,
} from './wire-fields.ts'

export function wireOfOperation(operation: Operation): Plain {
  const labels = some({ l: operation.labels })
  switch (operation.op) {
    case 'create':
      return { o: 'create', ...wireOfValue(operation.value), ...labels }
    case 'update':
      return {
        o: 'update',
        x: bytesOfHex(operation.object),
        b: operation.base.map(wireOfVersion),
        ...wireOfValue(operation.value),
        ...labels,
      }
    case 'delete':
      return {
        o: 'delete',
        x: bytesOfHex(operation.object),
        b: operation.base.map(wireOfVersion),
        ...labels,
      }
    case 'purge':
      return { o: 'purge', x: bytesOfHex(operation.object), ...labels }
  }
}

function wireOfValue(value: Value): Plain {
  if (value.type === 'file') {
    const { name, mediaType, sizeBytes, content, meta } = value
    return { n: name, m: mediaType, z: sizeBytes, c: content, ...some({ j: meta }) }
  }
  return {
    of: value.targets.map(wireOfVersion),
    s: wireOfVersion(value.schema),
    z: value.sizeBytes,
    ...some({ i: value.inline, c: value.content }),
  }
}

function wireOfVersion(version: VersionId): [Uint8Array, number] {
  return [cidBytesOf(version.proposal), version.index]
}

export function operationOf(value: unknown): Operation {
  const wire = asMap(value, 'op')
  const labels = labelsOf(wire['l'])
  const labelled = labels ? { labels } : {}
  switch (wire['o']) {
    case 'create':
      return { op: 'create', value: valueOf(wire, []), ...labelled }
    case 'update':
      return {
        op: 'update',
        object: objectId(wire['x']),
        base: versions(wire['b'], 'b', limits.basesMax),
        value: valueOf(wire, ['x', 'b']),
        ...labelled,
      }
    case 'delete':
      onlyKeys(wire, ['o', 'x', 'b'], ['l'], 'delete')
      return {
        op: 'delete',
        object: objectId(wire['x']),
        base: versions(wire['b'], 'b', limits.basesMax),
        ...labelled,
      }
    case 'purge':
      onlyKeys(wire, ['o', 'x'], ['l'], 'purge')
      return { op: 'purge', object: objectId(wire['x']), ...labelled }
    default:
      return refuse('operation of an unknown kind')
  }
}

function valueOf(wire: Plain, alsoKeys: string[]): FileValue | AnnotationValue {
  if (wire['n'] !== undefined) {
    onlyKeys(wire, ['o', ...alsoKeys, 'n', 'm', 'z', 'c'], ['j', 'l'], 'file')
    const name = text(wire['n'], 'n', limits.nameBytesMax)
    const problem = namePathProblem(name)
    if (problem !== undefined) refuse(`name: ${problem}`)
    const mediaType = text(wire['m'], 'm', limits.mediaTypeBytesMax)
    if (!/^[\x20-\x7e]+$/.test(mediaType)) refuse('media type')
    const meta = wire['j'] === undefined ? undefined : text(wire['j'], 'j', limits.metaBytesMax)
    return {
      type: 'file',
      name,
      mediaType,
      sizeBytes: uint(wire['z'], 'z'),
      content: contentCid(wire['c']),
      ...(meta !== undefined && { meta }),
    }
  }
  onlyKeys(wire, ['o', ...alsoKeys, 'of', 's', 'z'], ['i', 'c', 'l'], 'annotation')
  const inline = wire['i']
  if ((inline === undefined) === (wire['c'] === undefined))
    refuse('annotation needs one of i and c')
  const sizeBytes = uint(wire['z'], 'z')
  const annotation = {
    type: 'annotation' as const,
    targets: versions(wire['of'], 'of', limits.targetsMax),
    schema: versionOf(wire['s'], 's'),
    sizeBytes,
  }
  if (inline === undefined) return { ...annotation, content: contentCid(wire['c']) }
  if (!(inline instanceof Uint8Array) || inline.length > limits.inlineBytesMax) refuse('inline')
  if (inline.length !== sizeBytes) refuse('inline size')
  return { ...annotation, inline }
}
