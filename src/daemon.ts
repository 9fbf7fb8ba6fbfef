// The daemon: an open node, its HTTP server, and HOME/daemon.json that tells commands where it is.
// Started in this order, stopped in the reverse one.
import { randomBytes } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { hostPortText } from './config.ts'
import type { Config, HostPort } from './config.ts'
import { GonkError } from './core/errors.ts'
import { removeDaemonFile, writeDaemonFile, writeOpener } from './home.ts'
import type { Home } from './home.ts'
import type { GonkPluginOptions } from './http/gonk/plugin.ts'
import { buildGonkServer } from './http/gonk/server.ts'
import { JsonBudget } from './http/json-budget.ts'
import { buildServer } from './http/server.ts'
import type { PinoLogger } from './logger.ts'
import { openNode } from './node.ts'
import { passphraseOf } from './users/passphrase.ts'
import { version } from './version.ts'

/** What `start` prints when the daemon is ready. */
export interface Ready {
  readonly ready: true
  /** `HOST:PORT` of the HTTP server. */
  readonly http: string
  /** `http://HOST:PORT` as this machine reaches it; no slash at the end. */
  readonly url: string
  /** `HOST:PORT` of the Gonk dialect, where it has an address of its own. */
  readonly gonk?: string
  readonly peerId: string
  /** Dialable, with /p2p/ID. */
  readonly multiaddrs: readonly string[]
  readonly pid: number
}

export interface Daemon {
  readonly ready: Ready
  /** Ends requests, closes the node, removes daemon.json. */
  close(): Promise<void>
}

const TOKEN_BYTES = 32
/** Answers under way have this long to end when the daemon stops. */
const CLOSE_GRACE_MS = 2_000

/** Throws HOME_BUSY, ADDRESS_IN_USE, and what opening a node throws; then nothing stays open. */
export async function startDaemon(
  needs: {
    readonly home: Home
    readonly logger: PinoLogger
    /** Of the signing keys of users. @default what the file of the config holds */
    readonly passphrase?: string | undefined
  },
  config: Config,
): Promise<Daemon> {
  const { home, logger } = needs
  await using opened = new AsyncDisposableStack()
  const passphrase = needs.passphrase ?? (await passphraseOf(config))
  const node = await openNode(home, config, { listen: true, logger, passphrase }).catch(
    betterListenError,
  )
  opened.defer(() => node.close())
  await writeOpener(home, 'gonk-node start')

  const token = `gkd_${randomBytes(TOKEN_BYTES).toString('base64url')}`
  const gonkOptions: GonkPluginOptions = {
    door: { authenticate: (key) => node.door.authenticate(key), gonkOf: (me) => node.gonkOf(me) },
    bodyBytesMax: config.gonkBodyBytesMax,
    budget: new JsonBudget(),
  }
  const server = buildServer(node, {
    token,
    gonk: gonkOptions,
    hosts: [...config.hosts, config.http.host],
    version,
    logger: httpLogger(logger),
  })
  opened.defer(() => closeServer(server))
  const http = await listen(server, config.http, '--http')
  const url = `http://${http.replace(/^0\.0\.0\.0:|^\[::\]:/, '127.0.0.1:')}`
  await writeDaemonFile(home, { pid: process.pid, url, token })
  opened.defer(() => removeDaemonFile(home))

  const gonk = await startGonk(gonkOptions, config, httpLogger(logger), opened)
  if (config.gonk !== '') node.followGonk()

  const { peerId, multiaddrs } = await node.api.status()
  const parts = opened.move()
  return {
    ready: { ready: true, http, url, ...gonk, peerId, multiaddrs, pid: process.pid },
    close: () => parts.disposeAsync(),
  }
}

/**
 * Ends the server. A connection on which nothing was asked yet does not count as idle, and would be
 * waited for as long as a request may take.
 */
async function closeServer(server: FastifyInstance): Promise<void> {
  const late = setTimeout(() => server.server.closeAllConnections(), CLOSE_GRACE_MS)
  try {
    await server.close()
  } finally {
    clearTimeout(late)
  }
}

/** A port that is taken is the usual reason why the network cannot listen: say so. */
function betterListenError(error: unknown): never {
  if (!(error instanceof GonkError) || error.code !== 'BAD_ADDRESS') throw error
  const isTaken = error.cause instanceof Error && error.cause.message.includes('EADDRINUSE')
  const what = isTaken ? 'something listens there already' : 'it is no address of this machine'
  throw new GonkError(isTaken ? 'ADDRESS_IN_USE' : 'BAD_ADDRESS', `${error.message}: ${what}`, {
    hint: 'choose another address with --listen, such as /ip4/127.0.0.1/tcp/0 for any free port',
    cause: error,
  })
}

/** Fastify says where it listens, at level info; the ready line says it already. */
function httpLogger(logger: PinoLogger): PinoLogger {
  const level = logger.level === 'info' ? 'warn' : logger.level
  return logger.child({ area: 'http' }, { level })
}

async function startGonk(
  options: GonkPluginOptions,
  config: Config,
  logger: PinoLogger,
  opened: AsyncDisposableStack,
): Promise<{ gonk?: string }> {
  if (config.gonk === '') return {}
  const hosts = [...config.hosts, config.gonk.host]
  const server = buildGonkServer({ ...options, hosts, logger })
  opened.defer(() => closeServer(server))
  return { gonk: await listen(server, config.gonk, '--gonk') }
}

async function listen(
  server: FastifyInstance,
  address: HostPort,
  flag: '--http' | '--gonk',
): Promise<string> {
  const { host } = address
  try {
    await server.listen({ ...address })
  } catch (error) {
    const where = hostPortText(address)
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'EADDRINUSE') {
      throw new GonkError('ADDRESS_IN_USE', `something listens on ${where} already`, {
        hint: `stop it, or choose another address with ${flag} HOST:PORT (port 0 picks a free one)`,
        cause: error,
      })
    }
    throw new GonkError('CONFIG', `cannot listen on ${where}: ${String(code ?? error)}`, {
      hint: `give an address of this machine with ${flag} HOST:PORT`,
      cause: error,
    })
  }
  const { port } = server.server.address() as AddressInfo
  return hostPortText({ host, port })
}
