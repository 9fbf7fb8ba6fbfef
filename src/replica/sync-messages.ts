// Sync requests and answers ⇄ dag-cbor bytes. Decoding is strict: exactly the fields named here,
// within `syncLimits`; anything else is a Rejection, and never an exception.
import type { Rejection } from '../core/errors.ts'
import {
  bytesOfHex,
  CID_BYTES,
  cidBytesOf,
  type DatasetId,
  type EventId,
  eventIdOfCidBytes,
  hexOf,
} from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import {
  packIds,
  type Part,
  partProblem,
  reconcileLimits,
  unpackIds,
  type Width,
} from '../core/reconcile.ts'
import {
  byteString,
  decoded,
  encode,
  list,
  onlyFields,
  type Plain,
  refuse,
  uint,
} from './message-fields.ts'

const KiB = 1024
const MiB = 1024 * KiB

export const syncLimits = {
  requestBytesMax: MiB,
  responseBytesMax: 2 * MiB,
  /** Events of one `log` or `get` page; one event more never fits beyond it. */
  pageBytesMax: MiB,
  pageEventsMax: 4_096,
  /** Events sent with a `diff` answer; the rest is named, and asked for with `get`. */
  inlineBytesMax: 64 * KiB,
  /** Ids of one `get`. */
  getIdsMax: 4_096,
} as const

export const SYNC_VERSION = 1

export type SetName = 'owner' | 'pool'

export interface SetRoot {
  /** 32 bytes; equal exactly when the sets are. */
  readonly root: Uint8Array
  readonly count: number
}

export type Roots = Readonly<Record<SetName, SetRoot>>

/** Where to go on in the log: the event, and how many of its proposals were sent already. */
export interface LogCursor {
  readonly depth: number
  /** The first event at or after this id; '' is the first of its depth. */
  readonly id: EventId | ''
  readonly skip: number
}

export type SyncRequest = { readonly dataset: DatasetId } & (
  | { readonly k: 'hello'; readonly roots: Roots; readonly snapshot?: Uint8Array }
  | { readonly k: 'log'; readonly from: LogCursor; readonly bytesMax: number }
  | {
      readonly k: 'diff'
      readonly set: SetName
      readonly width: Width
      readonly parts: readonly Part[]
    }
  | {
      readonly k: 'get'
      /** Where ids of 8 bytes are looked up; whole ids are found in either set. */
      readonly set: SetName
      readonly width: Width
      readonly ids: readonly string[]
    }
)

/** Why a request is not answered. */
export const refusalCodes = ['unknown-dataset', 'bad-request', 'busy'] as const
export type RefusalCode = (typeof refusalCodes)[number]

export type SyncResponse =
  | { readonly k: 'no'; readonly code: RefusalCode }
  | { readonly k: 'hello'; readonly roots: Roots; readonly snapshot?: Uint8Array }
  | {
      readonly k: 'log'
      readonly roots: Roots
      readonly events: readonly Uint8Array[]
      /** Absent after the last event. */
      readonly next?: LogCursor
    }
  | {
      readonly k: 'diff'
      readonly roots: Roots
      readonly parts: readonly Part[]
      /** Events the asker lacks: owner events by depth, then proposals. */
      readonly events: readonly Uint8Array[]
      /** Short ids of those that did not fit, in the same order. */
      readonly more: readonly string[]
      readonly extra: boolean
      readonly cut: boolean
      /** Depth of the lowest owner event among what is lacking; a hint for `log`. */
      readonly lowestDepth?: number
    }
  | {
      readonly k: 'get'
      readonly roots: Roots
      readonly events: readonly Uint8Array[]
      /** How many of the ids asked for, from the first, this page covers. */
      readonly done: number
    }

// ---------------------------------------------------------------- encoding

export function encodeRequest(request: SyncRequest): Uint8Array {
  const { k } = request
  const head = { k, d: cidBytesOf(request.dataset) }
  switch (request.k) {
    case 'hello':
      return encode({
        ...head,
        v: SYNC_VERSION,
        ...wireOfRoots(request.roots),
        r: request.snapshot,
      })
    case 'log':
      return encode({ ...head, c: wireOfCursor(request.from), b: request.bytesMax })
    case 'diff': {
      const { set, width, parts } = request
      return encode({ ...head, s: set, w: width, n: parts.map((part) => wireOfPart(part, width)) })
    }
    case 'get': {
      const { set, width, ids } = request
      return encode({ ...head, s: set, w: width, i: packIds(ids, width) })
    }
  }
}

export function encodeResponse(response: SyncResponse, width: Width = 8): Uint8Array {
  const { k } = response
  switch (response.k) {
    case 'no':
      return encode({ k, c: response.code })
    case 'hello':
      return encode({ k, v: SYNC_VERSION, ...wireOfRoots(response.roots), r: response.snapshot })
    case 'log': {
      const { roots, events, next } = response
      return encode({ k, ...wireOfRoots(roots), e: events, c: next && wireOfCursor(next) })
    }
    case 'diff':
      return encode({
        k,
        ...wireOfRoots(response.roots),
        w: width,
        n: response.parts.map((part) => wireOfPart(part, width)),
        e: response.events,
        m: packIds(response.more, width),
        x: response.extra,
        t: response.cut,
        h: response.lowestDepth,
      })
    case 'get':
      return encode({ k, ...wireOfRoots(response.roots), e: response.events, n: response.done })
  }
}

export function wireOfRoots({ owner, pool }: Roots) {
  return { o: [owner.root, owner.count], p: [pool.root, pool.count] }
}

function wireOfCursor({ depth, id, skip }: LogCursor) {
  return [depth, bytesOfHex(id), skip]
}

function wireOfPart(part: Part, width: Width) {
  if ('hashes' in part) return [part.prefix, 0, part.hashes]
  return [part.prefix, 1, packIds(part.ids, width)]
}

// ---------------------------------------------------------------- decoding

export function decodeRequest(bytes: Uint8Array): SyncRequest | Rejection {
  return decoded(bytes, syncLimits.requestBytesMax, (map) => {
    const k = map['k']
    const dataset = eventIdOfCidBytes(map['d']) ?? refuse('d')
    switch (k) {
      case 'hello':
        onlyFields(map, ['k', 'd', 'v', 'o', 'p'], ['r'])
        if (map['v'] !== SYNC_VERSION) refuse('version')
        return { k, dataset, roots: rootsField(map), ...cidField(map, 'r', 'snapshot') }
      case 'log': {
        onlyFields(map, ['k', 'd', 'c', 'b'])
        const bytesMax = uint(map['b'], syncLimits.pageBytesMax)
        return { k, dataset, from: cursorOf(map['c']), bytesMax }
      }
      case 'diff': {
        onlyFields(map, ['k', 'd', 's', 'w', 'n'])
        const width = widthOf(map['w'])
        const parts = partsOf(map['n'], width, reconcileLimits.partsMax)
        const hashParts = parts.filter((part) => 'hashes' in part).length
        if (hashParts > reconcileLimits.hashPartsMax) refuse('too many child hashes')
        return { k, dataset, set: setOf(map['s']), width, parts }
      }
      case 'get': {
        onlyFields(map, ['k', 'd', 's', 'w', 'i'])
        const width = widthOf(map['w'])
        const ids = idsOf(map['i'], width, syncLimits.getIdsMax)
        return { k, dataset, set: setOf(map['s']), width, ids }
      }
      default:
        return refuse('k')
    }
  })
}

/** @param width that of the `diff` asked. */
export function decodeResponse(bytes: Uint8Array, width: Width = 8): SyncResponse | Rejection {
  return decoded(bytes, syncLimits.responseBytesMax, (map) => {
    const k = map['k']
    switch (k) {
      case 'no': {
        onlyFields(map, ['k', 'c'])
        return { k, code: refusalCodes.find((code) => code === map['c']) ?? refuse('c') }
      }
      case 'hello':
        onlyFields(map, ['k', 'v', 'o', 'p'], ['r'])
        if (map['v'] !== SYNC_VERSION) refuse('version')
        return { k, roots: rootsField(map), ...cidField(map, 'r', 'snapshot') }
      case 'log': {
        onlyFields(map, ['k', 'o', 'p', 'e'], ['c'])
        const next = map['c'] === undefined ? {} : { next: cursorOf(map['c']) }
        return { k, roots: rootsField(map), events: eventsOf(map['e']), ...next }
      }
      case 'diff':
        return diffOf(map, width)
      case 'get': {
        onlyFields(map, ['k', 'o', 'p', 'e', 'n'])
        const done = uint(map['n'], syncLimits.getIdsMax)
        return { k, roots: rootsField(map), events: eventsOf(map['e']), done }
      }
      default:
        return refuse('k')
    }
  })
}

function diffOf(map: Plain, width: Width): SyncResponse {
  onlyFields(map, ['k', 'o', 'p', 'w', 'n', 'e', 'm', 'x', 't'], ['h'])
  if (map['w'] !== width) refuse('w')
  const { x: extra, t: cut } = map
  if (typeof extra !== 'boolean' || typeof cut !== 'boolean') refuse('x, t')
  return {
    k: 'diff',
    roots: rootsField(map),
    parts: partsOf(map['n'], width, reconcileLimits.hashPartsMax * 17),
    events: eventsOf(map['e']),
    more: idsOf(map['m'], width, reconcileLimits.lackingMax),
    extra,
    cut,
    ...(map['h'] === undefined ? {} : { lowestDepth: uint(map['h']) }),
  }
}

/** The fields `o` and `p`. */
export function rootsField(map: Plain): Roots {
  const [owner, pool] = [map['o'], map['p']].map((value) => {
    const [root, count] = list(value, 2, 2)
    return { root: byteString(root, 32), count: uint(count) }
  })
  return { owner: owner as SetRoot, pool: pool as SetRoot }
}

export function cidField<K extends string>(map: Plain, key: string, name: K) {
  if (map[key] === undefined) return {} as { [P in K]?: Uint8Array }
  return { [name]: byteString(map[key], CID_BYTES) } as { [P in K]?: Uint8Array }
}

function cursorOf(value: unknown): LogCursor {
  const [depth, id, skip] = list(value, 3, 3)
  const bytes = byteString(id, 0, 32)
  if (bytes.length !== 0 && bytes.length !== 32) refuse('cursor')
  return {
    depth: uint(depth),
    id: hexOf(bytes) as EventId | '',
    skip: uint(skip, limits.reviewItemsMax),
  }
}

function partsOf(value: unknown, width: Width, countMax: number): Part[] {
  return list(value, 0, countMax).map((entry) => {
    const [prefix, form, contents] = list(entry, 3, 3)
    if (typeof prefix !== 'string') refuse('prefix')
    const bytes = byteString(contents, 0, reconcileLimits.partsBytesMax)
    if (form !== 0 && form !== 1) refuse('form of a part')
    const part: Part =
      form === 0
        ? { prefix, hashes: bytes }
        : { prefix, ids: unpackIds(bytes, width) ?? refuse('ids') }
    const problem = partProblem(part, width)
    return problem === undefined ? part : refuse(problem)
  })
}

function idsOf(value: unknown, width: Width, countMax: number): string[] {
  return unpackIds(byteString(value, 0, countMax * width), width) ?? refuse('ids')
}

function eventsOf(value: unknown): Uint8Array[] {
  return list(value, 0, syncLimits.pageEventsMax).map((block) =>
    byteString(block, 0, limits.eventBytesMax),
  )
}

function setOf(value: unknown): SetName {
  return value === 'owner' || value === 'pool' ? value : refuse('s')
}

function widthOf(value: unknown): Width {
  return value === 8 || value === 32 ? value : refuse('w')
}
