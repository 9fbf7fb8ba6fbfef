// Gonk's ids from ours: UUIDs of version 4 that begin as the object's or event's own id does.
import type { EventId, ObjectId, VersionId } from '../../core/ids.ts'

const PATTERN = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** @returns undefined for what is no UUID with its dashes; capitals become small. */
export function uuidOfText(text: string): string | undefined {
  const uuid = text.toLowerCase()
  return PATTERN.test(uuid) ? uuid : undefined
}

export function uuidOfObject(object: ObjectId): string {
  return uuidOfHex(object.slice(0, 32))
}

/** One of the small events that one of ours is made of. @param index below 2 ** 32. */
export function uuidOfEvent(event: EventId, index: number): string {
  return uuidOfHex(event.slice(0, 24) + index.toString(16).padStart(8, '0'))
}

/** @param hex 32 digits; the first 12 stay as they are. */
function uuidOfHex(hex: string): string {
  const variant = ((Number.parseInt(hex.slice(16, 17), 16) & 3) | 8).toString(16)
  const groups = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `4${hex.slice(13, 16)}`,
    variant + hex.slice(17, 20),
    hex.slice(20),
  ]
  return groups.join('-')
}

/** Hex, under which waits what is about this version; objects and proposals have their ids. */
export function awaitedVersion({ proposal, index }: VersionId): string {
  return proposal + index.toString(16).padStart(8, '0')
}
