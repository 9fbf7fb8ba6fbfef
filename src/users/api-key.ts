// API keys: `gk_` and 32 letters and digits, of which a node keeps only the SHA-256.
import { createHash } from 'node:crypto'
import type { Random } from '../ports.ts'

const PREFIX = 'gk_'
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
const LENGTH = 32
const FORM = /^gk_[A-Za-z0-9]{32}$/

/** A new key of 190 random bits. Secret. */
export function newApiKey(random: Random): string {
  // Bytes that would make the first letters likelier than the last are thrown away.
  const fair = 256 - (256 % ALPHABET.length)
  let key = ''
  while (key.length < LENGTH) {
    for (const byte of random.bytes(LENGTH)) {
      if (byte < fair && key.length < LENGTH) key += ALPHABET.charAt(byte % ALPHABET.length)
    }
  }
  return PREFIX + key
}

/** SHA-256 of the whole key as hex; undefined for what cannot be a key, whatever its length. */
export function digestOfApiKey(key: string): string | undefined {
  if (key.length !== PREFIX.length + LENGTH || !FORM.test(key)) return undefined
  return createHash('sha256').update(key).digest('hex')
}
