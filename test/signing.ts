// Fixed test keys that really sign, and events sealed with them. Known to everybody: for tests
// only.
import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import type { Draft } from '../src/core/event-codec.ts'
import { formatEvent } from '../src/core/event-codec.ts'
import type { PublicKey } from '../src/core/ids.ts'
import type { VerifyEquation } from '../src/core/signature.ts'
import type { Signer } from '../src/ports.ts'
import { sha256 } from './makers.ts'

const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

/** The seed is sha2-256 of `gonk-node test key NAME`. */
export function signerNamed(name: string): Signer {
  const seed = sha256(new TextEncoder().encode(`gonk-node test key ${name}`))
  const der = Buffer.concat([PKCS8_PREFIX, seed])
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' })
  const publicKey = spki.subarray(SPKI_PREFIX.length).toString('hex') as PublicKey
  return { publicKey, sign: (message) => new Uint8Array(sign(null, message, key)) }
}

export function blockOf(draft: Draft, signer: Signer): Uint8Array {
  const { message, seal } = formatEvent(draft, signer.publicKey, sha256)
  return seal(signer.sign(message))
}

/** The cofactorless equation as `node:crypto` has it; what it cannot read is false. */
export const nodeEquation: VerifyEquation = (key, message, signature) => {
  try {
    const der = Buffer.concat([SPKI_PREFIX, key])
    const spki = createPublicKey({ key: der, format: 'der', type: 'spki' })
    return verify(null, message, spki, signature)
  } catch {
    return false
  }
}
