// Strict reading of decoded CBOR fields: each function returns a value of the shape asked for, or throws
// a Refusal, which decoders turn into a Rejection.
import * as dagCbor from '@ipld/dag-cbor'
import type { RejectionReason } from './errors.ts'
import type { Labels } from './event.ts'
import {
  CID_BYTES,
  type EventId,
  eventIdOfCidBytes,
  founderTenure,
  hexOf,
  type ObjectId,
  type PublicKey,
  type TenureId,
  type VersionId,
} from './ids.ts'
import { limits } from './limits.ts'

export type Plain = Record<string, unknown>

const KEY_BYTES = 32

export class Refusal extends Error {
  readonly reason: RejectionReason
  constructor(reason: RejectionReason, what: string) {
    super(what)
    this.reason = reason
  }
}

export function refuse(what: string, reason: RejectionReason = 'malformed'): never {
  throw new Refusal(reason, what)
}

/** Leaves out what is undefined, which dag-cbor cannot say. */
export function some<T extends Plain>(fields: T): Plain {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

export function asMap(value: unknown, where: string): Plain {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse(where)
  if (value instanceof Uint8Array) refuse(where)
  return value as Plain
}

export function onlyKeys(map: Plain, required: string[], optional: string[], where: string): void {
  for (const key of required) if (!Object.hasOwn(map, key)) refuse(`${where}: ${key} is missing`)
  for (const key of Object.keys(map)) {
    if (!required.includes(key) && !optional.includes(key)) refuse(`${where}: unknown field`)
  }
}

export function list(value: unknown, where: string, min: number, max: number): unknown[] {
  if (!Array.isArray(value) || value.length < min) refuse(where)
  if (value.length > max) refuse(`${where}: more than ${max}`, 'limit-exceeded')
  return value
}

export function uint(value: unknown, where: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) refuse(where)
  return value as number
}

export function text(value: unknown, where: string, bytesMax: number): string {
  if (typeof value !== 'string') refuse(where)
  // No character of a string is more than 3 bytes of UTF-8.
  const mayBeLong = value.length * 3 > bytesMax
  if (mayBeLong && new TextEncoder().encode(value).length > bytesMax)
    refuse(`${where}: too long`, 'limit-exceeded')
  return value
}

export function optionalText<K extends string>(map: Plain, key: K, bytesMax: number) {
  if (map[key] === undefined) return {} as { [P in K]?: string }
  return { [key]: text(map[key], key, bytesMax) } as { [P in K]?: string }
}

export function hasControlCharacter(value: string): boolean {
  for (const character of value) {
    const code = character.codePointAt(0) as number
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return true
  }
  return false
}

export function publicKey(value: unknown, where: string): PublicKey {
  if (!(value instanceof Uint8Array) || value.length !== KEY_BYTES) refuse(where)
  return hexOf(value) as PublicKey
}

export function eventId(value: unknown, where: string): EventId {
  return eventIdOfCidBytes(value) ?? refuse(where)
}

/** Ids of events, each once and ascending. */
export function sortedIds(value: unknown, where: string, min: number, max: number): EventId[] {
  const ids = list(value, where, min, max).map((entry) => eventId(entry, where))
  if (ids.some((id, i) => i > 0 && id <= (ids[i - 1] as EventId))) {
    refuse(`${where}: not sorted and unique`)
  }
  return ids
}

export function objectId(value: unknown): ObjectId {
  if (!(value instanceof Uint8Array) || value.length !== 32) refuse('x')
  return hexOf(value) as ObjectId
}

export function versionOf(value: unknown, where: string): VersionId {
  const [proposal, index] = list(value, where, 2, 2)
  const version = { proposal: eventId(proposal, where), index: uint(index, where) }
  if (version.index >= limits.operationsMax) refuse(where)
  return version
}

export function versions(value: unknown, where: string, max: number): VersionId[] {
  const all = list(value, where, 1, max).map((entry) => versionOf(entry, where))
  if (new Set(all.map((v) => `${v.proposal}:${v.index}`)).size !== all.length)
    refuse(`${where}: twice`)
  return all
}

/** CIDv1, raw or dag-pb, sha2-256. */
export function contentCid(value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length !== CID_BYTES) refuse('c')
  const [version, codec, hash, length] = value
  if (version !== 1 || (codec !== 0x55 && codec !== 0x70) || hash !== 0x12 || length !== 32)
    refuse('c')
  return value
}

export function tenureOf(value: unknown): TenureId {
  if (value instanceof Uint8Array) return eventId(value, 'w') as string as TenureId
  const index = uint(value, 'w')
  if (index >= limits.foundersMax) refuse('w')
  return founderTenure(index)
}

export function labelsOf(value: unknown): Labels | undefined {
  if (value === undefined) return undefined
  const labels = asMap(value, 'l')
  for (const entry of Object.values(labels)) if (typeof entry !== 'string') refuse('l')
  if (dagCbor.encode(labels).length > limits.labelsBytesMax) refuse('l: too long', 'limit-exceeded')
  return labels as Labels
}
