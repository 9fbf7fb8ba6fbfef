// `start`: the daemon in the foreground, until a signal stops it.
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { GonkError } from '../core/errors.ts'
import type { Home } from '../home.ts'
import type { Config } from '../config.ts'
import type { Daemon, Ready, startDaemon } from '../daemon.ts'
import { boundNursery } from '../nursery.ts'
import { pairs } from './output.ts'
import type { Session } from './session.ts'
import { collect, examples, task } from './task.ts'

interface StartOptions {
  readonly http?: string
  readonly gonk?: string
  readonly listen?: string[]
  readonly peer?: string[]
}

const RETRY_MS = 200
const PATIENCE_MS = 10_000
/** Then it is said what is waited for. */
const QUIET_MS = 1_000

export function addStart(program: Command): void {
  program
    .command('start')
    .description('run the daemon in the foreground; makes the home when there is none')
    .option('--http <host:port>', 'where the page and the API listen; port 0 picks one')
    .option('--gonk <host:port>', 'where clients of Gonk are served; port 0 picks one')
    .option('--listen <multiaddr>', 'where other nodes reach this one; may be repeated', collect)
    .option('--peer <multiaddr>', 'a node to stay connected to; may be repeated', collect)
    .action(task(start))
    .addHelpText(
      'after',
      examples([
        'gonk-node start',
        'gonk-node start --listen /ip4/0.0.0.0/tcp/4050          reachable from other machines',
        'gonk-node start --peer /ip4/10.0.0.2/tcp/4050/p2p/12D3KooW…',
        'gonk-node start --gonk 127.0.0.1:5000                   for clients of Gonk',
        'gonk-node start --http 127.0.0.1:0 --listen /ip4/127.0.0.1/tcp/0 --json',
      ]),
    )
}

async function start(session: Session, options: StartOptions): Promise<void> {
  boundNursery()
  const home = await homeOf(session)
  const config = await session.loadConfig({
    http: options.http,
    gonk: options.gonk,
    listen: options.listen,
    peers: options.peer,
  })
  checkPorts(config)
  const logger = await session.logger(config.logLevel)
  const { surviveStrayErrors } = await import('../node.ts')
  const undo = surviveStrayErrors(logger)
  const passphrase = await session.passphrase(home, config)
  const daemon = await openDaemon(session, { home, logger, passphrase }, config)
  try {
    session.output.result(daemon.ready, () => readyText(home, daemon.ready))
    if (!session.signal.aborted) await once(session.signal, 'abort')
    session.output.note('stopping')
  } finally {
    await daemon.close()
    undo()
  }
}

/** Throws USAGE when two doors want one port. */
function checkPorts({ http, gonk, listen }: Config): void {
  const doors = { '--http': http.port, '--gonk': gonk === '' ? 0 : gonk.port }
  const { host, port } = gonk === '' ? { host: '', port: 0 } : gonk
  if (port !== 0 && host === http.host && port === http.port) {
    throw new GonkError('USAGE', `--http and --gonk both want ${host}:${port}`, {
      hint: 'give each a port of its own',
    })
  }
  for (const [flag, port] of Object.entries(doors)) {
    const isTaken = listen.some((address) => new RegExp(`/tcp/${port}(/|$)`).test(address))
    if (port === 0 || !isTaken) continue
    throw new GonkError('USAGE', `${flag} and --listen both want port ${port}`, {
      hint: 'give each a port of its own',
    })
  }
}

/** Waits a little for whoever has the home, a process on its way out too; a daemon that answers stays. */
async function openDaemon(
  session: Session,
  needs: Parameters<typeof startDaemon>[0],
  config: Config,
): Promise<Daemon> {
  const { startDaemon } = await import('../daemon.ts')
  const { readOpener } = await import('../home.ts')
  for (let waitedMs = 0; ; waitedMs += RETRY_MS) {
    try {
      return await startDaemon(needs, config)
    } catch (error) {
      if (!(error instanceof GonkError) || error.code !== 'HOME_BUSY') throw error
      const { dir } = needs.home
      const opener = await readOpener(dir)
      const mayWait = waitedMs < PATIENCE_MS && !session.signal.aborted
      if (mayWait && (await session.daemon()) === undefined) {
        if (waitedMs === QUIET_MS) session.output.note(`waiting for ${opener}`)
        await sleep(RETRY_MS)
        continue
      }
      throw new GonkError('HOME_BUSY', `${opener} has ${dir} open`, {
        hint: 'stop it first, or start on another --home',
      })
    }
  }
}

async function homeOf(session: Session): Promise<Home> {
  try {
    return await session.openHome()
  } catch (error) {
    if (!(error instanceof GonkError) || error.code !== 'HOME_MISSING') throw error
    const { initHome } = await import('../home.ts')
    const { newConfigText } = await import('../config.ts')
    const home = await initHome(await session.homeDir(), newConfigText())
    session.output.note(`made a new home at ${home.dir} (public key ${home.publicKey})`)
    return home
  }
}

function readyText(home: Home, ready: Ready): string {
  const [first = 'none', ...others] = ready.multiaddrs
  return [
    'gonk-node is ready; Ctrl-C stops it',
    pairs({
      home: home.dir,
      'page and API': ready.url,
      ...(ready.gonk !== undefined && { 'for Gonk': `http://${ready.gonk}` }),
      'peer id': ready.peerId,
      address: first,
    }),
    ...others.map((address) => `${' '.repeat(14)}${address}`),
  ].join('\n')
}
