// Asking a validator in JavaScript values.
import type { Conformance, SchemaValidator } from '../../src/ports.ts'

const encoder = new TextEncoder()

/** Text as it is, anything else as JSON. */
export function bytes(value: unknown): Uint8Array {
  return encoder.encode(typeof value === 'string' ? value : JSON.stringify(value))
}

/** Both as JSON values. */
export async function answerTo(
  validator: SchemaValidator,
  schema: unknown,
  document: unknown,
): Promise<Conformance> {
  const [answer] = await validator.check(bytes(schema), [bytes(JSON.stringify(document))])
  return answer as Conformance
}

/** `true`, or the code of what was wrong. */
export const verdict = (answer: Conformance) => answer.conforms || answer.code

export const draftUris = {
  '04': 'http://json-schema.org/draft-04/schema',
  '06': 'http://json-schema.org/draft-06/schema',
  '07': 'http://json-schema.org/draft-07/schema',
  '2019-09': 'https://json-schema.org/draft/2019-09/schema',
  '2020-12': 'https://json-schema.org/draft/2020-12/schema',
} as const
