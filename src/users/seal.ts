// Seeds under a passphrase: scrypt makes a key of it, AES-256-GCM seals with that.
import { createCipheriv, createDecipheriv, scrypt } from 'node:crypto'
import type { Random } from '../ports.ts'

/** A sealed seed. All fields but `scheme` are hex. */
export interface Sealed {
  readonly scheme: typeof SCHEME
  readonly salt: string
  readonly nonce: string
  /** Ciphertext and tag. */
  readonly box: string
}

/**
 * Names every parameter, so that files with others are told apart and hostile ones cost nothing.
 * The cost is that of N=2^17, p=1 in a quarter of the memory: 32 MiB.
 */
export const SCHEME = 'scrypt-32768-8-3/aes-256-gcm'
const COST = { N: 32_768, r: 8, p: 3, maxmem: 64 * 1024 * 1024 }
const CIPHER = 'aes-256-gcm'
const KEY_BYTES = 32
const TAG_BYTES = 16
/** Bytes of each field; a seed has 32. */
export const sealedBytes = { salt: 16, nonce: 12, box: 32 + TAG_BYTES } as const

export interface Sealer {
  /** `context` must be the same when it is opened. */
  seal(seed: Uint8Array, context: string): Promise<Sealed>
  /** @returns undefined when the passphrase, the context or any byte differs. */
  open(sealed: Sealed, context: string): Promise<Uint8Array | undefined>
}

/**
 * Derived keys are kept, and what is sealed takes the salt of what was opened: one passphrase opens
 * all of a home, so a salt each would cost a guess no more, and every start a derivation each. Each
 * file still names its salt, and opens by itself.
 */
export function sealerOf(passphrase: string, random: Random): Sealer {
  const keys = new Map<string, Promise<Buffer>>()
  let saltOfHome: string | undefined
  const keyOf = (salt: string): Promise<Buffer> => {
    const key = keys.get(salt) ?? derive(passphrase, Buffer.from(salt, 'hex'))
    keys.set(salt, key)
    return key
  }
  return {
    async seal(seed, context) {
      saltOfHome ??= hexOf(random.bytes(sealedBytes.salt))
      const salt = saltOfHome
      const nonce = random.bytes(sealedBytes.nonce)
      const cipher = createCipheriv(CIPHER, await keyOf(salt), nonce).setAAD(Buffer.from(context))
      const box = Buffer.concat([cipher.update(seed), cipher.final(), cipher.getAuthTag()])
      return { scheme: SCHEME, salt, nonce: hexOf(nonce), box: hexOf(box) }
    },
    async open({ salt, nonce, box }, context) {
      const bytes = Buffer.from(box, 'hex')
      const decipher = createDecipheriv(CIPHER, await keyOf(salt), Buffer.from(nonce, 'hex'))
      decipher.setAAD(Buffer.from(context)).setAuthTag(bytes.subarray(-TAG_BYTES))
      try {
        const seed = Buffer.concat([
          decipher.update(bytes.subarray(0, -TAG_BYTES)),
          decipher.final(),
        ])
        saltOfHome ??= salt
        return seed
      } catch {
        return undefined
      }
    },
  }
}

function derive(passphrase: string, salt: Uint8Array): Promise<Buffer> {
  // Keyboards differ in how they write an accent.
  const text = passphrase.normalize('NFC')
  return new Promise((resolve, reject) => {
    scrypt(text, salt, KEY_BYTES, COST, (error, key) => (error ? reject(error) : resolve(key)))
  })
}

const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
