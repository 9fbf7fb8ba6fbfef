// The platform signs, because it takes a tenth of the time; @noble/ed25519 says what it must give.
import * as ed25519 from '@noble/ed25519'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { bytesOfHex, hexOf } from '../../src/core/ids.ts'
import { signerOf } from '../../src/crypto.ts'

const seed = fc.uint8Array({ minLength: 32, maxLength: 32 })

test('signatures and keys are byte for byte those of @noble/ed25519', () => {
  fc.assert(
    fc.property(seed, fc.uint8Array({ maxLength: 2_000 }), (secret, message) => {
      const signer = signerOf(secret)
      expect(signer.publicKey).toBe(hexOf(ed25519.getPublicKey(secret)))
      expect(hexOf(signer.sign(message))).toBe(hexOf(ed25519.sign(message, secret)))
    }),
  )
})

test('the second test vector of RFC 8032 is signed as it says', () => {
  const signer = signerOf(
    bytesOfHex('4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb'),
  )
  expect(signer.publicKey).toBe('3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c')
  expect(hexOf(signer.sign(Uint8Array.of(0x72)))).toBe(
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da' +
      '085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  )
})
