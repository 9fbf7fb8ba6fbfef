// Ids, times and foreign text in the form people and JSON get them.
import { CID } from 'multiformats/cid'
import { textOfEventId, type VersionId } from '../core/ids.ts'

/** The last moment RFC 3339 can write. */
const TIME_MAX_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999)
const LINE_CHARACTERS_MAX = 200
/** Control and format characters, and line and paragraph separators: what steers a terminal or hides. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\u2028\u2029]+/gu

/** RFC 3339, UTC. Authors may claim any time: one past the year 9999 is shown as its end. */
export function timeText(claimedAtMs: number): string {
  return new Date(Math.min(claimedAtMs, TIME_MAX_MS)).toISOString()
}

/** `EVENT:INDEX`. */
export function versionText({ proposal, index }: VersionId): string {
  return `${textOfEventId(proposal)}:${index}`
}

/** @param bytes a binary CID. */
export function cidText(bytes: Uint8Array): string {
  return CID.decode(bytes).toString()
}

/** Text of others on one line of at most 200 characters, with nothing in it that moves a cursor. */
export function oneLine(text: string): string {
  const line = text.replace(UNPRINTABLE, ' ').trim()
  const characters = [...line]
  if (characters.length <= LINE_CHARACTERS_MAX) return line
  return `${characters.slice(0, LINE_CHARACTERS_MAX - 1).join('')}…`
}
