// Who may ask: the Host header against DNS rebinding, then the bearer token.
import { createHash, timingSafeEqual } from 'node:crypto'
import { GonkError } from '../core/errors.ts'

/** Throws BAD_HOST unless the Host header (`NAME` or `NAME:PORT`) is one of `hosts`, lower case. */
export function checkHost(header: string | undefined, hosts: ReadonlySet<string>): void {
  const name = /^(?:\[([^\]]+)\]|([^:]+))(?::\d*)?$/.exec(header ?? '')
  const host = (name?.[1] ?? name?.[2])?.toLowerCase()
  if (host !== undefined && hosts.has(host)) return
  throw new GonkError('BAD_HOST', `this node is not addressed as ${host ?? 'nothing'}`, {
    hint: 'use the address it listens on, or add the name with `gonk-node config set hosts …`',
  })
}

/** Throws UNAUTHORIZED unless the Authorization header carries the token. Constant time. */
export function checkToken(header: string | undefined, token: string): void {
  const given = /^bearer +(\S+) *$/i.exec(header ?? '')?.[1]
  if (given !== undefined && timingSafeEqual(digest(given), digest(token))) return
  throw new GonkError(
    'UNAUTHORIZED',
    given === undefined ? 'an Authorization header with a bearer token is needed' : 'wrong token',
  )
}

const digest = (text: string) => createHash('sha256').update(text).digest()
