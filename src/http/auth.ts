// Who may ask: the Host header against DNS rebinding, then the key of whoever asks, then its role.
import { timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { NodeApi, NodeDoor, Role } from '../contract/api.ts'
import { GonkError } from '../core/errors.ts'

/** Whoever sent a request. */
export interface Asker {
  /** The same for all requests of one user. */
  readonly id: string
  readonly role: Role
  /** The node on behalf of this user. */
  readonly api: NodeApi
  /** False once the key has been replaced or its user removed: what runs for long asks again. */
  isKnown(): boolean
}

export interface Doors {
  /** On behalf of the node itself. */
  readonly api: NodeApi
  /** On behalf of its users. */
  readonly door: NodeDoor
}

/** Each may do what the ones before it may. */
const roles: readonly Role[] = ['reader', 'member', 'admin']

/** Throws BAD_HOST unless the Host header (`NAME` or `NAME:PORT`) is one of `hosts`, lower case. */
export function checkHost(header: string | undefined, hosts: ReadonlySet<string>): void {
  const name = /^(?:\[([^\]]+)\]|([^:]+))(?::\d*)?$/.exec(header ?? '')
  const host = (name?.[1] ?? name?.[2])?.toLowerCase()
  if (host !== undefined && hosts.has(host)) return
  throw new GonkError('BAD_HOST', `this node is not addressed as ${host ?? 'nothing'}`, {
    hint: 'use the address it listens on, or add the name with `gonk-node config set hosts …`',
  })
}

/** The key of a request, from `Authorization: Bearer KEY` or `x-api-key: KEY`. */
export function keyOf(headers: IncomingHttpHeaders): string | undefined {
  if (headers.authorization !== undefined) {
    return /^bearer +(\S+) *$/i.exec(headers.authorization)?.[1]
  }
  const key = headers['x-api-key']
  return typeof key === 'string' && key !== '' ? key : undefined
}

/**
 * Finds out who asks: the daemon's own `token` stands for the node itself, other keys for users.
 * The function it returns costs at most one hash and throws UNAUTHORIZED.
 */
export function authenticator(
  { api, door }: Doors,
  token: string,
): (headers: IncomingHttpHeaders) => Asker {
  const ours = Buffer.from(token)
  const node: Asker = { id: '', role: 'admin', api, isKnown: () => true }
  return (headers) => {
    const key = keyOf(headers)
    if (key === undefined) {
      throw new GonkError('UNAUTHORIZED', 'this needs an API key', {
        hint: 'send `Authorization: Bearer KEY` or `x-api-key: KEY`; `users add` makes keys',
      })
    }
    const given = Buffer.from(key)
    if (given.length === ours.length && timingSafeEqual(given, ours)) return node
    const me = door.authenticate(key)
    if (me === undefined) {
      throw new GonkError('UNAUTHORIZED', 'this API key is not known here', {
        hint: 'use the one that `users add` or `users rekey` printed last for a user of this node',
      })
    }
    const isKnown = () => door.authenticate(key) !== undefined
    return { id: me.publicKey, role: me.role, api: door.apiOf(me), isKnown }
  }
}

/** Throws FORBIDDEN, naming the role that would do. */
export function checkRole(asker: Asker, needed: Role): void {
  if (roles.indexOf(asker.role) >= roles.indexOf(needed)) return
  throw new GonkError('FORBIDDEN', `this needs the role ${needed}; yours is ${asker.role}`, {
    details: { needed, role: asker.role },
  })
}
