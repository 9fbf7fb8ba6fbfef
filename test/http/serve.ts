// Servers for tests: without a socket, or on a free port, closed at the end of each test.
import { afterEach } from 'vitest'
import type { FastifyInstance } from 'fastify'
import { createClient } from '../../src/client/client.ts'
import type { NodeApi, NodeDoor } from '../../src/contract/api.ts'
import { buildServer, type ServerOptions } from '../../src/http/server.ts'
import { createLogger } from '../../src/logger.ts'

export const token = `gkd_${'secretToken'.repeat(3)}`
export const authorization = `Bearer ${token}`

export interface Served {
  readonly door?: NodeDoor
  /** Of the log. @default silent */
  readonly level?: string
  readonly destination?: { write(line: string): void }
  readonly patience?: ServerOptions['patience']
  readonly budget?: ServerOptions['budget']
}

const servers: FastifyInstance[] = []

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close()
})

const nobody: NodeDoor = {
  authenticate: () => undefined,
  apiOf: () => {
    throw new Error('nobody is known here')
  },
}

export function serverOf(
  api: NodeApi,
  { door = nobody, level = 'silent', destination, budget, patience }: Served = {},
): FastifyInstance {
  const logger = createLogger({ level, ...(destination === undefined ? {} : { destination }) })
  const hosts = ['localhost', '127.0.0.1', '::1']
  const given = { patience: patience ?? { lingerMs: 200 }, ...(budget && { budget }) }
  const options = { token, hosts, version: '1.2.3', logger, ...given }
  const server = buildServer({ api, door }, options)
  servers.push(server)
  return server
}

/** The address of a server that listens. */
export async function listening(api: NodeApi, served: Served = {}): Promise<string> {
  return serverOf(api, served).listen({ host: '127.0.0.1', port: 0 })
}

export async function clientOf(api: NodeApi): Promise<NodeApi> {
  return createClient({ url: await listening(api), token })
}
