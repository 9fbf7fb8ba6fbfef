// Bodies, ids and cursors of the Gonk dialect. The first byte says which request it is.
import { GonkError } from '../../../src/core/errors.ts'
import { Refusal } from '../../../src/http/gonk/errors.ts'
import {
  annotationRequest,
  cursorOf,
  datasetName,
  fieldsOf,
  newAnnotation,
  newSchema,
  objectRequest,
  schemaBytes,
  uuidOf,
} from '../../../src/http/gonk/requests.ts'
import { routesOf } from '../../../src/http/gonk/routes.ts'
import { hold, type Target, textOf, utf8 } from '../target.ts'

const uuid = '01234567-89ab-4cde-8f01-23456789abcd'
const requests: readonly ((bytes: Uint8Array) => unknown)[] = [
  (bytes) => datasetName(fieldsOf(bytes)),
  (bytes) => newSchema(fieldsOf(bytes)).schema.length,
  (bytes) => schemaBytes(fieldsOf(bytes)).length,
  (bytes) => objectRequest(fieldsOf(bytes)).object.length,
  (bytes) => annotationRequest(fieldsOf(bytes)).annotation.length,
  (bytes) => newAnnotation(fieldsOf(bytes)).objects.map(({ uuid }) => checkUuid(uuid)),
  (bytes) => checkUuid(uuidOf(textOf(bytes))),
  (bytes) => cursorOf(new URLSearchParams(textOf(bytes))),
  (bytes) => routesOf(textOf(bytes)).map(({ pieces }) => pieces),
]

function checkUuid(text: string): void {
  hold(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text), `uuid ${text}`)
}

const one = `{"uuid":"${uuid}","version":0}`
const samples = [
  '{"name":"cells"}',
  '{"name":"schema-a","schema":"e30="}',
  '{"schema":"e30="}',
  '{"name":"a","object":"AAAA","mimetype":"text/plain"}',
  '{"annotation":"e30=","schema":{"name":"schema-a","version":"1"}}',
  `{"annotation":"e30=","schema":{"name":"schema-a","version":1},"object_identifiers":[${one}]}`,
  `urn:uuid:{${uuid}}`,
  `after=${uuid}&after_version=3`,
  `/datasets/a%2Fb/objects/${uuid}/1`,
]

export const target: Target = {
  seeds: () => samples.map((text, i) => Uint8Array.of(i, ...utf8(text))),
  words: ['"uuid":', '"version":', '"schema":', '"object_identifiers":', 'schema-', 'null', '%2F'],
  check: (bytes) => {
    const request = requests[(bytes[0] ?? 0) % requests.length] as (bytes: Uint8Array) => unknown
    try {
      request(bytes.subarray(1))
    } catch (error) {
      if (error instanceof Refusal) {
        hold(error.status >= 400 && error.message.length < 1_000, 'a refusal in few words')
      } else if (!(error instanceof GonkError)) throw error
      else hold(['USAGE', 'TOO_LARGE', 'NOT_FOUND'].includes(error.code), error.code)
    }
  },
}
