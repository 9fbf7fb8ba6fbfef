// How authors, times and contents are called in Gonk's events. Labels with the words of another
// Gonk count only from keys that may approve, or once might: strangers claim nothing by them.
import { CID } from 'multiformats/cid'
import type { Event, Labels, Value } from '../../core/event.ts'
import { hexOf } from '../../core/ids.ts'
import type { Replica } from '../../replica/replica.ts'
import type { NodeContext } from '../context.ts'
import { timeText } from '../text.ts'
import type { Telling } from './line.ts'
import { uuidOfText } from './uuids.ts'

const RAW = 0x55
/** Bytes of the digest at the end of a CID. */
const DIGEST_BYTES = 32
/** The longest names that Gonk reads back. */
const AUTHOR_CHARACTERS_MAX = 512
const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$/

export interface Words {
  readonly author: string
  readonly timestamp: string
  /** Ids of the event and of the object or annotation, where they are given. */
  readonly event?: string
  readonly thing?: string
  /** Name and media type, where ours are others. */
  readonly name?: string
  readonly format?: string
  /** Hex of the content's sha2-256, where it is given. */
  readonly hash?: string
  /** The version that the operation only carries on: `EVENT:INDEX`. */
  readonly standsFor?: string
}

/** The name of one of this node's users, or the key itself. */
export function ownerName({ users }: Pick<NodeContext, 'users'>, key: string): string {
  return users.byKey(key)?.name ?? key
}

/**
 * @param labels of an operation, which stand above those of its event.
 * @param isOwn made here: then it may say how its name and media type are to be shown.
 */
export function wordsOf(
  context: Pick<NodeContext, 'users'>,
  replica: Replica,
  event: Event,
  labels: Labels = {},
  isOwn = false,
): Words {
  const isTrusted = replica.tenures.some(({ exists, key }) => exists && key === event.author)
  const given: Labels = isTrusted ? { ...event.labels, ...labels } : {}
  const author = given['gonk.author'] ?? ''
  const timestamp = given['gonk.timestamp'] ?? ''
  const uuid = uuidOfText(given['gonk.event'] ?? '')
  const thing = uuidOfText(given['gonk.uuid'] ?? '')
  const hash = given['sha256']?.toLowerCase()
  return {
    author:
      author !== '' && author.length <= AUTHOR_CHARACTERS_MAX
        ? author
        : ownerName(context, event.author),
    timestamp: TIMESTAMP.test(timestamp) ? timestamp : timestampOf(event.claimedAtMs),
    ...(uuid !== undefined && { event: uuid }),
    ...(thing !== undefined && { thing }),
    ...(hash !== undefined && /^[0-9a-f]{64}$/.test(hash) && { hash }),
    ...(given['gonk.of'] !== undefined && { standsFor: given['gonk.of'] }),
    ...shownAs(isTrusted || isOwn ? labels : {}),
  }
}

function shownAs(given: Labels): Pick<Words, 'name' | 'format'> {
  const { 'gonk.name': name, 'gonk.format': format } = given
  return { ...(name && { name }), ...(format && { format }) }
}

function timestampOf(claimedAtMs: number): string {
  return timeText(claimedAtMs).replace(/\.(\d{3})Z$/, (_, ms: string) =>
    ms === '000' ? 'Z' : `.${ms}000Z`,
  )
}

/**
 * Hex of the content's sha2-256. Nothing is read for it: whoever made a file decides what that would
 * cost. Of a file in several blocks it is known where the file was stored through the dialect, or an
 * owner says it; else the digest of its CID stands for it. What was told once stays.
 */
export async function hashOf(
  { crypto, log }: Telling,
  value: Value,
  words: Words,
): Promise<string> {
  if (value.content === undefined) {
    const { inline } = value as { inline?: Uint8Array }
    return hexOf(crypto.sha256(inline ?? new Uint8Array(0)))
  }
  if (CID.decode(value.content).code === RAW) return digestOf(value.content)
  const known = await log.digest(value.content)
  if (known !== undefined) return hexOf(known)
  return words.hash ?? digestOf(value.content)
}

/** Hex of the digest in a CID: that of the bytes where the file is one block. */
export const digestOf = (content: Uint8Array): string => hexOf(content.subarray(-DIGEST_BYTES))
