// The closed list of failures. Callers test `code`; messages are free to improve.

/** What each code means in HTTP terms and what a person should do about it. */
export const errorCodes = {
  USAGE: { status: 400, hint: 'see gonk-node help' },
  BAD_EVENT: { status: 400, hint: 'the event was made by something that breaks the protocol' },
  BAD_NAME: { status: 400, hint: 'use 1 to 1024 bytes of NFC text, segments of 1 to 255 bytes' },
  BAD_CID: { status: 400, hint: 'give a CIDv1 with sha2-256, such as `gonk-node root` prints' },
  BAD_ADDRESS: { status: 400, hint: 'give a multiaddr such as /ip4/10.0.0.2/tcp/4050/p2p/ID' },
  BAD_SCHEMA: { status: 422, hint: 'give a JSON Schema of draft 04, 06, 07, 2019-09 or 2020-12' },
  NOT_CONFORMING: { status: 422, hint: 'change the annotation until it conforms to its schema' },
  TOO_COSTLY: { status: 422, hint: 'simplify the schema: it takes too long to check with' },
  BAD_RANGE: { status: 416, hint: 'ask for bytes that the file has' },
  BAD_ROOT: { status: 422, hint: 'the history does not give this root: ask another peer' },
  NOT_FOUND: { status: 404, hint: 'list what exists, or give more of the id' },
  AMBIGUOUS: { status: 400, hint: 'give more characters of the id' },
  NOT_OWNER: { status: 403, hint: 'ask an owner of the dataset; `owner list` names them' },
  NOT_ALLOWED: { status: 403, hint: 'only a more senior owner can do this' },
  UNAUTHORIZED: { status: 401, hint: 'use an API key of `users add`, or HOME/daemon.json' },
  FORBIDDEN: { status: 403, hint: 'ask the operator for a role that may do this' },
  LOCKED: { status: 503, hint: 'start the node with GONK_PASSPHRASE_FILE' },
  BAD_HOST: { status: 403, hint: 'use the address the daemon listens on' },
  EXISTS: { status: 409, hint: 'choose another name' },
  ALREADY_DECIDED: { status: 409, hint: 'propose the change again to decide anew' },
  ALREADY_VOTED: {
    status: 409,
    hint: 'a key votes for one checkpoint after each: wait for others',
  },
  ALREADY_APPROVED: { status: 409, hint: 'another owner has to agree now' },
  STALE_BASE: { status: 409, hint: 'propose the change again on the newest version' },
  LAST_OWNER: { status: 409, hint: 'add another owner first' },
  NOT_HERE: { status: 409, hint: 'connect to a peer that holds the content, then repeat' },
  ADDRESS_IN_USE: { status: 409, hint: 'choose another address; port 0 picks a free one' },
  ANCHOR_NOT_FOUND: { status: 422, hint: 'check the id of the checkpoint, or ask another peer' },
  NO_PEER: { status: 502, hint: 'check the address, and that the peer runs' },
  PEER_FAILED: { status: 502, hint: 'try another peer' },
  BAD_BLOCK: { status: 502, hint: 'the peer sent bytes that do not match their CID' },
  TOO_MANY: { status: 429, hint: 'end some of what you have under way, then try again' },
  TOO_LARGE: { status: 413, hint: 'split it' },
  HOME_EXISTS: { status: 409, hint: 'choose another --home' },
  HOME_MISSING: { status: 404, hint: 'run `gonk-node init` first' },
  HOME_BUSY: { status: 409, hint: 'another gonk-node has this home open' },
  HOME_FORMAT: { status: 500, hint: 'this home was written by another version of gonk-node' },
  HOME_DAMAGED: {
    status: 500,
    hint: 'stop the node, keep a copy of the home, and run `gonk-node repair`',
  },
  DISK: { status: 507, hint: 'check the permissions there, and that the disk has space' },
  CONFIG: { status: 400, hint: 'see `gonk-node config list`' },
  TIMEOUT: { status: 504, hint: 'try again' },
  CANCELLED: { status: 499, hint: 'repeat the command to go on' },
  UNSUPPORTED: { status: 501, hint: 'this version cannot do it yet' },
  INTERNAL: { status: 500, hint: 'this is a bug: please report it with GONK_DEBUG=1' },
} as const

export type ErrorCode = keyof typeof errorCodes

/** An operation that failed. `details` holds data for programs; `hint` tells a person what to do. */
export class GonkError extends Error {
  override readonly name = 'GonkError'
  readonly code: ErrorCode
  readonly hint: string
  readonly details: Record<string, unknown> | undefined

  constructor(
    code: ErrorCode,
    message: string,
    options: { hint?: string; details?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.hint = options.hint ?? errorCodes[code].hint
    this.details = options.details
  }
}

const QUOTED_CHARS_MAX = 200

/** Text of strangers as part of a message: short, in one line, and nothing in it that moves a cursor. */
export function quoted(text: string): string {
  const cut = text.slice(0, QUOTED_CHARS_MAX).toWellFormed()
  return cut.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\ufffd')
}

/**
 * Why an event from outside is refused. `provable` reasons follow from the bytes alone, so whoever
 * forwarded them is at fault; the others depend on what this node holds.
 */
export const rejections = {
  'too-large': { provable: true },
  'not-canonical': { provable: true },
  malformed: { provable: true },
  'limit-exceeded': { provable: true },
  'bad-signature': { provable: true },
  'wrong-dataset': { provable: true },
  'wrong-depth': { provable: true },
  'wrong-tenure': { provable: true },
  'unknown-dataset': { provable: false },
  'missing-parents': { provable: false },
  /** Of a tenure that an event of a later version may have begun: who may write it is not known here. */
  'unknown-tenure': { provable: false },
  'over-quota': { provable: false },
} as const

export type RejectionReason = keyof typeof rejections

/** A refused event: a normal outcome, returned and never thrown across a module. */
export interface Rejection {
  readonly refused: RejectionReason
  /** What exactly, for one log line. */
  readonly what: string
}

export function isRejection(value: unknown): value is Rejection {
  return typeof value === 'object' && value !== null && 'refused' in value
}
