// The pinned Ed25519 rule: which signatures exist. All nodes must give the same verdict for ever.
// Rule: 32 and 64 bytes; A and R canonical and not of small order; S < L; then the cofactorless
// equation of RFC 8032 §5.1.7 ([S]B = R + [k]A), which the caller supplies.
import { bytesOfHex } from './ids.ts'

/** sha512-based cofactorless check, as `node:crypto` does it. Called only after the pre-check. */
export type VerifyEquation = (
  key: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
) => boolean

const POINT_BYTES = 32
const SIGNATURE_BYTES = 64
/** The top bit of a point is the sign of x; the rest is y. */
const Y_MASK = 0x7f

/** Little-endian, as in keys and signatures: 2^255 - 19. */
const fieldPrime = bytesOfHex('edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f')
/** 2^252 + 27742317777372353535851937790883648493. */
const groupOrder = bytesOfHex('edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010')
/** Canonical y of the eight points of small order: 0, 1, -1 and two of order 8. */
const smallOrderYs = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
].map(bytesOfHex)

/**
 * Canonical encoding of a point that is not of small order. Whether it is on the curve is left to
 * the equation.
 */
export function isAcceptablePoint(encoded: Uint8Array): boolean {
  if (encoded.length !== POINT_BYTES) return false
  return isBelow(encoded, fieldPrime, Y_MASK) && !smallOrderYs.some((y) => hasY(encoded, y))
}

/** The part of the rule that needs no curve arithmetic. */
export function passesPreCheck(key: Uint8Array, signature: Uint8Array): boolean {
  if (key.length !== POINT_BYTES || signature.length !== SIGNATURE_BYTES) return false
  return (
    isAcceptablePoint(key) &&
    isAcceptablePoint(signature.subarray(0, POINT_BYTES)) &&
    isBelow(signature.subarray(POINT_BYTES), groupOrder, 0xff)
  )
}

export function verifySignature(
  key: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
  equation: VerifyEquation,
): boolean {
  return passesPreCheck(key, signature) && equation(key, message, signature)
}

/** Little-endian `a` < `b`, both 32 bytes; `topMask` is what counts of the last byte of `a`. */
function isBelow(a: Uint8Array, b: Uint8Array, topMask: number): boolean {
  for (let i = POINT_BYTES - 1; i >= 0; i--) {
    const byte = (a[i] as number) & (i === POINT_BYTES - 1 ? topMask : 0xff)
    if (byte !== b[i]) return byte < (b[i] as number)
  }
  return false
}

function hasY(encoded: Uint8Array, y: Uint8Array): boolean {
  for (let i = 0; i < POINT_BYTES - 1; i++) if (encoded[i] !== y[i]) return false
  return ((encoded[POINT_BYTES - 1] as number) & Y_MASK) === y[POINT_BYTES - 1]
}
