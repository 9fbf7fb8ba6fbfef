// The Gonk dialect of real daemons, spoken by a plain HTTP client.
import { type Answer, askOf, base64, ok, pagesOf } from '../http/gonk-server.ts'
import type { TestNode } from './daemon.ts'

export { anObject, base64, ok } from '../http/gonk-server.ts'

/** What `start` needs for a dialect on a free port. */
export const GONK = ['--gonk', '127.0.0.1:0']

/** Asks the daemon that runs on the node at the time of the question. */
export type Gonk = (method: string, path: string, body?: unknown) => Promise<Answer>

export const gonkOf =
  (node: TestNode, apiKey: string): Gonk =>
  (method, path, body) =>
    askOf(node.daemon.gonkUrl, apiKey, method, path, body)

/** Every item of a list that comes in pages. */
export const listOf = async (gonk: Gonk, path: string): Promise<Answer['body'][]> =>
  (await pagesOf(gonk, path)).flat()

/** A request that annotates one version by a version of a schema. */
export const annotating = (
  object: { readonly uuid: string; readonly version: number },
  document: unknown,
  schema = { name: 'schema-label', version: 0 },
) => ({
  schema,
  object_identifiers: [{ uuid: object.uuid, version: object.version }],
  annotation: base64(JSON.stringify(document)),
})

export const labelSchema = JSON.stringify({
  $schema: 'http://json-schema.org/draft-07/schema#',
  type: 'object',
  properties: { label: { type: 'string' } },
  required: ['label'],
})

/** The uuid of the event that made a version. */
export async function eventOf(gonk: Gonk, path: string): Promise<string> {
  const { events } = await ok(gonk, 'GET', path)
  return events[0].uuid
}
