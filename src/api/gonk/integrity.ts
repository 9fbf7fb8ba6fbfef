// Gonk's hash chain: sha2-256 of the hash before and of the bytes an event stands for. Those bytes
// run together without lengths, and leave out author and type: that is what its clients compute.
import { hexOf, type Sha256 } from '../../core/ids.ts'
import type { GonkAnnotation, GonkObject, Identifier, UnchainedEvent } from './types.ts'

/** @param previous hex of the event before; undefined for the first. @returns hex. */
export function integrityOf(
  event: UnchainedEvent,
  previous: string | undefined,
  sha256: Sha256,
): string {
  return hexOf(sha256(Buffer.concat([hex(previous ?? ''), signatureBytes(event)])))
}

export function signatureBytes(event: UnchainedEvent): Uint8Array {
  return Buffer.concat([uuid(event.uuid), utf8(event.timestamp), ...bodyBytes(event)])
}

function bodyBytes(event: UnchainedEvent): Uint8Array[] {
  switch (event.type) {
    case 'ObjectCreateEvent':
    case 'ObjectUpdateEvent':
      return [u8(event.action), objectBytes(event.object)]
    case 'ObjectDeleteEvent':
      return [u8(event.action), identifierBytes(event.object_identifier)]
    case 'AnnotationCreateEvent':
      return [
        u8(event.action),
        ...event.object_identifiers.map(identifierBytes),
        annotationBytes(event.annotation),
      ]
    case 'AnnotationUpdateEvent':
      return [u8(event.action), annotationBytes(event.annotation)]
    case 'AnnotationDeleteEvent':
      return [u8(event.action), identifierBytes(event.annotation_identifier)]
    case 'ReviewAcceptEvent':
    case 'ReviewRejectEvent':
      return [u8(event.decision), uuid(event.event_uuid)]
    case 'OwnerAddEvent':
    case 'OwnerRemoveEvent':
      return [utf8(event.owner), u8(event.owner_action)]
  }
}

function objectBytes(object: GonkObject): Uint8Array {
  const { name, format, size, hash_type, hash } = object
  return Buffer.concat([
    identifierBytes(object),
    utf8(name),
    utf8(format),
    u64(size),
    u8(hash_type),
    hex(hash),
  ])
}

function annotationBytes(annotation: GonkAnnotation): Uint8Array {
  const { schema, size, hash_type, hash } = annotation
  return Buffer.concat([
    identifierBytes(annotation),
    identifierBytes(schema),
    u64(size),
    u8(hash_type),
    hex(hash),
  ])
}

function identifierBytes({ uuid: id, version }: Identifier): Uint8Array {
  return Buffer.concat([uuid(id), u64(version)])
}

const hex = (text: string) => Buffer.from(text, 'hex')
const uuid = (text: string) => hex(text.replaceAll('-', ''))
const utf8 = (text: string) => Buffer.from(text)
const u8 = (value: number) => Uint8Array.of(value)

function u64(value: number): Uint8Array {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}
