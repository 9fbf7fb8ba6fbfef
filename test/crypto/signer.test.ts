// RFC 8032 leaves a signer no choice: two implementations must give the same bytes.
import { createPrivateKey, sign } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { bytesOfHex, hexOf } from '../../src/core/ids.ts'
import { signerOf } from '../../src/crypto.ts'

/** DER header of RFC 8410 before the 32 bytes of a private key. */
const HEADER = Buffer.from('302e020100300506032b657004220420', 'hex')
const seed = fc.uint8Array({ minLength: 32, maxLength: 32 })

test('signatures are byte for byte those of the platform', () => {
  fc.assert(
    fc.property(seed, fc.uint8Array({ maxLength: 2_000 }), (secret, message) => {
      const der = Buffer.concat([HEADER, secret])
      const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
      expect(hexOf(signerOf(secret).sign(message))).toBe(hexOf(sign(null, message, key)))
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
