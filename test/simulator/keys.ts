// Keys that are cheap: a signature is a digest that whoever knows the public key can make. In the
// simulator nobody signs for somebody else, and Ed25519 would take most of the time.
import { hash } from 'node:crypto'
import { hexOf, type PublicKey } from '../../src/core/ids.ts'
import type { Crypto, Signer } from '../../src/ports.ts'

const sha256 = (bytes: Uint8Array): Uint8Array => hash('sha256', bytes, 'buffer')

function signatureOf(key: Uint8Array, message: Uint8Array): Uint8Array {
  const digest = sha256(Buffer.concat([key, message]))
  return Buffer.concat([digest, digest])
}

export const cheapCrypto: Crypto = {
  sha256,
  verify: (key, message, signature) =>
    Promise.resolve(Buffer.compare(signatureOf(key, message), signature) === 0),
}

/** The same key for the same name. */
export function cheapSigner(name: string): Signer {
  const key = sha256(Buffer.from(`simulated key ${name}`))
  return {
    publicKey: hexOf(key) as PublicKey,
    sign: (message) => signatureOf(key, message),
  }
}
