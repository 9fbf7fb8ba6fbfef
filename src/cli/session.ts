// What every command runs in: the global options, the output, and the node it talks to, which is
// the daemon of the home when one runs, else the home itself, opened for the length of the
// command.
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { NodeApi } from '../contract/api.ts'
import type { Config, Flags } from '../config.ts'
import { GonkError } from '../core/errors.ts'
import type { Home } from '../home.ts'
import type { PinoLogger } from '../logger.ts'
import { Output } from './output.ts'

export interface GlobalOptions {
  readonly home?: string
  readonly json?: boolean
  readonly quiet?: boolean
  readonly logLevel?: string
}

/** How long to wait for another command that has the home open, or a daemon that is starting. */
const BUSY_WAIT_MS = 30_000
const BUSY_POLL_MS = 100
/** After this long, the wait is mentioned. */
const BUSY_QUIET_MS = 1_000
/** A daemon that does not answer in this time counts as none. */
const PROBE_TIMEOUT_MS = 5_000
/** After Ctrl-C, what cannot be interrupted has this long to finish. */
const GRACE_MS = 5_000

export class Session {
  readonly globals: GlobalOptions
  readonly output: Output
  /** Aborted by Ctrl-C and its kin. */
  readonly signal: AbortSignal
  /** Name of the command, for the message another process shows while this one has the home. */
  readonly command: string
  #passphrase: Promise<string | undefined> | undefined

  constructor(globals: GlobalOptions, command: string, signal: AbortSignal) {
    this.globals = globals
    this.output = new Output({ json: globals.json === true, quiet: globals.quiet === true })
    this.command = command
    this.signal = signal
  }

  /** Options of long operations: Ctrl-C and the progress bar. */
  get running(): { signal: AbortSignal; onProgress: Output['onProgress'] } {
    return { signal: this.signal, onProgress: this.output.onProgress }
  }

  /** Where the home is, or will be. */
  async homeDir(): Promise<string> {
    if (this.globals.home === '') {
      throw new GonkError('USAGE', '--home is empty', { hint: 'name a folder, or leave it out' })
    }
    if (this.globals.home !== undefined) return this.globals.home
    const { environment } = await import('../config.ts')
    return environment().home
  }

  /** Runs `work` on the daemon of the home, or on the home itself when none runs. */
  withNode<T>(work: (api: NodeApi) => Promise<T>): Promise<T> {
    return Promise.race([this.#withNode(work), this.#outOfPatience()])
  }

  async #withNode<T>(work: (api: NodeApi) => Promise<T>): Promise<T> {
    let busySinceMs: number | undefined
    let mentioned = false
    for (;;) {
      const daemon = await this.daemon()
      if (daemon !== undefined) return work(daemon)
      const node = await this.#open(busySinceMs)
      if (node !== undefined) {
        try {
          return await work(node.api)
        } finally {
          await node.close()
        }
      }
      busySinceMs ??= Date.now()
      if (!mentioned && Date.now() - busySinceMs > BUSY_QUIET_MS) {
        mentioned = true
        const { readOpener } = await import('../home.ts')
        this.output.note(`waiting for ${await readOpener(await this.homeDir())}`)
      }
      await sleep(BUSY_POLL_MS, undefined, { signal: this.signal }).catch(() => undefined)
      if (this.signal.aborted) throw new GonkError('CANCELLED', 'interrupted')
    }
  }

  async openHome(): Promise<Home> {
    const { openHome } = await import('../home.ts')
    return openHome(await this.homeDir())
  }

  /** The config of this home; flags stand above the file and the environment. Throws CONFIG. */
  async loadConfig(flags: Flags = {}): Promise<Config> {
    const { loadConfig } = await import('../config.ts')
    const { readConfigFile } = await import('../home.ts')
    const text = await readConfigFile(await this.homeDir())
    return loadConfig(text, { logLevel: this.globals.logLevel, ...flags }).config
  }

  /** Of the signing keys of users: from the file of the config, else asked for, once. */
  passphrase(home: Home, config: Config, ask = true): Promise<string | undefined> {
    this.#passphrase ??= this.#findPassphrase(home, config, ask)
    return this.#passphrase
  }

  async #findPassphrase(home: Home, config: Config, ask: boolean): Promise<string | undefined> {
    const { askPassphrase, passphraseOf } = await import('../users/passphrase.ts')
    const known = await passphraseOf(config)
    const { stdin: input, stderr: output } = process
    if (known !== undefined || !ask || !input.isTTY || !output.isTTY) return known
    const { hasSealedUsers } = await import('../users/user-store.ts')
    if (!(await hasSealedUsers(join(home.dir, 'users')))) return undefined
    const question = 'passphrase of the signing keys of users (Enter: leave them sealed): '
    const interrupt = () => process.kill(process.pid, 'SIGINT')
    return askPassphrase({ input, output, interrupt }, question, { signal: this.signal })
  }

  async logger(level: string): Promise<PinoLogger> {
    const { createLogger } = await import('../logger.ts')
    const pretty = process.stderr.isTTY && !this.globals.json
    return createLogger({ level: this.globals.quiet ? 'silent' : level, pretty })
  }

  /** The daemon of this home, if one answers. */
  async daemon(): Promise<NodeApi | undefined> {
    const { readDaemonFile } = await import('../home.ts')
    const daemon = await readDaemonFile(await this.homeDir())
    if (daemon === undefined || !isAlive(daemon.pid)) return undefined
    const { createClient } = await import('../client/client.ts')
    const { apiPrefix } = await import('../contract/routes.ts')
    // Another program may have taken the port since: only our own daemon knows the token.
    const answer = await fetch(`${daemon.url}${apiPrefix}/version`, {
      headers: { authorization: `Bearer ${daemon.token}` },
      signal: AbortSignal.any([this.signal, AbortSignal.timeout(PROBE_TIMEOUT_MS)]),
    }).catch(() => undefined)
    await answer?.body?.cancel()
    return answer?.ok ? createClient({ ...daemon, signal: this.signal }) : undefined
  }

  /** @returns undefined when another process has the home and there is time to try again. */
  async #open(
    busySinceMs: number | undefined,
  ): Promise<{ api: NodeApi; close(): Promise<void> } | undefined> {
    const home = await this.openHome()
    const config = await this.loadConfig()
    // A command is no daemon: unless asked for, what went wrong is said once, by the command.
    const logger = await this.logger(await this.#commandLogLevel())
    const { openNode } = await import('../node.ts')
    const { readOpener, writeOpener } = await import('../home.ts')
    try {
      const passphrase = this.command.startsWith('users ')
        ? await this.passphrase(home, config, this.command === 'users add')
        : undefined
      const node = await openNode(home, config, { listen: false, logger, passphrase })
      await writeOpener(home, `gonk-node ${this.command}`)
      return node
    } catch (error) {
      if (!(error instanceof GonkError) || error.code !== 'HOME_BUSY') throw error
      if (Date.now() - (busySinceMs ?? Date.now()) < BUSY_WAIT_MS) return undefined
      throw new GonkError('HOME_BUSY', `${await readOpener(home.dir)} has ${home.dir} open`, {
        hint: 'wait for it or stop it, then repeat the command',
        cause: error,
      })
    }
  }

  async #outOfPatience(): Promise<never> {
    if (!this.signal.aborted) await once(this.signal, 'abort')
    await sleep(GRACE_MS, undefined, { ref: false })
    throw new GonkError('CANCELLED', 'interrupted')
  }

  async #commandLogLevel(): Promise<string> {
    const { loadConfig } = await import('../config.ts')
    const { config, sources } = loadConfig('', { logLevel: this.globals.logLevel })
    return sources.logLevel === 'default' ? 'error' : config.logLevel
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    // EPERM: it is there, but somebody else's.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
