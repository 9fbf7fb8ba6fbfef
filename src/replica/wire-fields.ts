// Reading and writing the fields of dag-cbor messages from outside: strict, bounded, and with
// refusals as values.
import * as dagCbor from '@ipld/dag-cbor'
import type { Rejection } from '../core/errors.ts'

/** Thrown by the readers below, and turned into a Rejection by {@link decoded}. */
class Malformed extends Error {}

export function refuse(what: string): never {
  throw new Malformed(what)
}

/** Leaves out what is undefined, which dag-cbor cannot say. */
export function encode(fields: Record<string, unknown>): Uint8Array {
  return dagCbor.encode(
    Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)),
  )
}

export type Plain = Readonly<Record<string, unknown>>

export function decoded<T>(
  bytes: Uint8Array,
  bytesMax: number,
  read: (map: Plain) => T,
): T | Rejection {
  if (bytes.length > bytesMax) return { refused: 'too-large', what: `${bytes.length} bytes` }
  let value: unknown
  try {
    value = dagCbor.decode(bytes)
  } catch (error) {
    return { refused: 'malformed', what: `not dag-cbor: ${(error as Error).message}` }
  }
  try {
    if (typeof value !== 'object' || value === null) refuse('not a map')
    return read(value as Plain)
  } catch (error) {
    if (error instanceof Malformed) return { refused: 'malformed', what: error.message }
    throw error
  }
}

export function onlyFields(map: Plain, required: string[], optional: string[] = []): void {
  for (const key of required) if (!Object.hasOwn(map, key)) refuse(`${key} is missing`)
  for (const key of Object.keys(map)) {
    if (!required.includes(key) && !optional.includes(key)) refuse('unknown field')
  }
}

export function uint(value: unknown, max: number = Number.MAX_SAFE_INTEGER): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) refuse('integer')
  return (value as number) <= max ? (value as number) : refuse('integer too large')
}

export function byteString(value: unknown, min: number, max: number = min): Uint8Array {
  if (!(value instanceof Uint8Array)) refuse('bytes')
  return value.length >= min && value.length <= max ? value : refuse('length of bytes')
}

export function list(value: unknown, min: number, max: number): readonly unknown[] {
  if (!Array.isArray(value)) refuse('list')
  return value.length >= min && value.length <= max ? value : refuse('length of list')
}
