// What holds for every decoder of messages between peers.
import { isRejection, type Rejection } from '../../src/core/errors.ts'
import { hold, holdRefusal, holdSame, holdSameBytes } from './target.ts'

/**
 * Decodes: a refusal with a reason, or a message that says the same when it is encoded again.
 * @returns the message, undefined where it is refused.
 */
export function checkMessage<T extends object>(
  bytes: Uint8Array,
  decode: (bytes: Uint8Array) => T | Rejection,
  encode: (message: T) => Uint8Array,
): T | undefined {
  const message = decode(bytes)
  if (isRejection(message)) {
    holdRefusal(message)
    return undefined
  }
  const again = encode(message)
  // Bytes of a text that are no UTF-8 become characters of three bytes.
  hold(again.length <= bytes.length * 3, `${again.length} bytes of ${bytes.length}`)
  const second = decode(again)
  hold(!isRejection(second), 'what was encoded is refused')
  holdSame(second, message, 'a message encoded and decoded')
  holdSameBytes(encode(second), again, 'a message encoded twice')
  return message
}
