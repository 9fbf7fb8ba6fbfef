// Sync and gossip messages ⇄ dag-cbor maps: strict, bounded, and with refusals as values.
import * as dagCbor from '@ipld/dag-cbor'
import { quoted, type Rejection } from '../core/errors.ts'
import { asMap, onlyKeys, type Plain, Refusal, refuse, some } from '../core/wire-fields.ts'

export { type Plain, refuse }

/** Leaves out what is undefined. */
export function encode(fields: Plain): Uint8Array {
  return dagCbor.encode(some(fields))
}

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
    return { refused: 'malformed', what: `not dag-cbor: ${quoted((error as Error).message)}` }
  }
  try {
    return read(asMap(value, 'not a map'))
  } catch (error) {
    if (error instanceof Refusal) return { refused: error.reason, what: error.message }
    throw error
  }
}

export function onlyFields(map: Plain, required: string[], optional: string[] = []): void {
  onlyKeys(map, required, optional, 'message')
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
