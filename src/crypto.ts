// The platform's cryptography behind the ports: sha2-256, the verify equation, keys.
import { createPublicKey, hash, type KeyObject, randomBytes, verify } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import * as ed25519 from '@noble/ed25519'
import { hexOf, type PublicKey } from './core/ids.ts'
import { passesPreCheck } from './core/signature.ts'
import type { Clock, Crypto, Random, Signer } from './ports.ts'

/** DER header of RFC 8410 before 32 raw bytes. */
const PUBLIC_KEY_HEADER = Buffer.from('302a300506032b6570032100', 'hex')
const KEYS_CACHED = 1_000

export function sha256(bytes: Uint8Array): Uint8Array {
  return hash('sha256', bytes, 'buffer')
}

function importPublicKey(raw: Uint8Array): KeyObject | undefined {
  try {
    const key = Buffer.concat([PUBLIC_KEY_HEADER, raw])
    return createPublicKey({ key, format: 'der', type: 'spki' })
  } catch {
    return undefined
  }
}

/** Verifies in the thread pool, with the keys it met last kept imported. */
export function nodeCrypto(): Crypto {
  const keys = new Map<string, KeyObject | undefined>()
  const keyOf = (raw: Uint8Array): KeyObject | undefined => {
    const id = hexOf(raw)
    if (!keys.has(id)) {
      if (keys.size >= KEYS_CACHED) keys.delete(keys.keys().next().value as string)
      keys.set(id, importPublicKey(raw))
    }
    return keys.get(id)
  }
  return {
    sha256,
    verify: (raw, message, signature) =>
      new Promise((resolve) => {
        const key = passesPreCheck(raw, signature) ? keyOf(raw) : undefined
        if (key === undefined) return resolve(false)
        verify(null, message, key, signature, (error, isValid) => resolve(!error && isValid))
      }),
  }
}

ed25519.hashes.sha512 = (message) => hash('sha512', message, 'buffer')

/** @param seed 32 bytes, as RFC 8032 calls the private key. */
export function signerOf(seed: Uint8Array): Signer {
  return {
    publicKey: hexOf(ed25519.getPublicKey(seed)) as PublicKey,
    sign: (message) => ed25519.sign(message, seed),
  }
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  sleep: (ms, options) => sleep(ms, undefined, { signal: options?.signal, ref: false }),
}

export const systemRandom: Random = { bytes: (count) => new Uint8Array(randomBytes(count)) }
