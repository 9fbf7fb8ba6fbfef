// Every setting of a node: config file, then GONK_… variables, then flags, checked together into
// one frozen Config. The only file that reads process.env.
import { homedir } from 'node:os'
import { join } from 'node:path'
import { multiaddr } from '@multiformats/multiaddr'
import { type Document, isNode, parseDocument } from 'yaml'
import { GonkError } from './core/errors.ts'

export const logLevels = ['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const
export type LogLevel = (typeof logLevels)[number]

export interface HostPort {
  readonly host: string
  /** 0: any free port. */
  readonly port: number
}

/** The settings of one node. What each means: {@link settings}. */
export interface Config {
  readonly name: string
  readonly http: HostPort
  readonly hosts: readonly string[]
  readonly listen: readonly string[]
  readonly peers: readonly string[]
  readonly allow: readonly string[]
  readonly connectionsMax: number
  readonly prefetchBytesMax: number
  readonly poolBytesMax: number
  readonly storedBytesMax: number
  readonly diskReserveBytes: number
  readonly passphraseFile: string
  /** Empty: the Gonk dialect has no address of its own. */
  readonly gonk: HostPort | ''
  readonly gonkBodyBytesMax: number
  readonly logLevel: LogLevel
}

export type SettingName = keyof Config

interface Setting {
  /** What it is, with its unit: shown in the config file and by `config list`. */
  readonly doc: string
  /** As a person would write it. */
  readonly preset: string | number | readonly string[]
  /** Throws an Error whose message completes `NAME: …`. */
  readonly parse: (value: unknown) => unknown
  /** Name of the environment variable, where it is not GONK_ and the name in capitals. */
  readonly variable?: string
}

/** All settings in the order of the config file. */
export const settings: Readonly<Record<SettingName, Setting>> = {
  name: {
    doc: 'How this node is called in its own logs and status. Never sent to peers.',
    preset: '',
    parse: parseText,
  },
  http: {
    doc: 'HOST:PORT of the page and the API. Port 0 picks a free one.',
    preset: '127.0.0.1:5050',
    parse: parseHostPort,
  },
  hosts: {
    doc: 'Names, without port, the HTTP server answers to; that of `http` always counts.',
    preset: ['localhost', '127.0.0.1', '::1'],
    parse: listOf(parseHost),
  },
  listen: {
    doc: 'Multiaddrs where other nodes reach this one. From other machines: /ip4/0.0.0.0/tcp/4050.',
    preset: ['/ip4/127.0.0.1/tcp/4050'],
    parse: listOf(parseMultiaddr),
  },
  peers: {
    doc: 'Multiaddrs of nodes to stay connected to, such as /ip4/10.0.0.2/tcp/4050/p2p/ID.',
    preset: [],
    parse: listOf(parseMultiaddr),
  },
  allow: {
    doc: 'Peer ids that may connect. Empty: everybody may.',
    preset: [],
    parse: listOf(parsePeerId),
  },
  connectionsMax: {
    doc: 'Connections to other nodes at one time.',
    preset: 500,
    parse: parseCount,
  },
  prefetchBytesMax: {
    doc: 'Disk for files of proposals this node has to decide on; in bytes or as 10 GiB.',
    preset: '10 GiB',
    parse: parseBytes,
  },
  poolBytesMax: {
    doc: 'Disk for undecided proposals of others; in bytes or as 1 GiB.',
    preset: '1 GiB',
    parse: parseBytes,
  },
  storedBytesMax: {
    doc: 'Disk for content that was stored for proposals to come; in bytes or as 10 GiB.',
    preset: '10 GiB',
    parse: parseBytes,
  },
  diskReserveBytes: {
    doc: 'What stays free on the disk when files are uploaded; in bytes or as 1 GiB.',
    preset: '1 GiB',
    parse: parseBytes,
  },
  passphraseFile: {
    doc: 'A file with the passphrase that seals the signing keys of users. Empty: not sealed.',
    preset: '',
    parse: parseText,
  },
  gonk: {
    doc: 'HOST:PORT for clients of Gonk, which expect 127.0.0.1:5000. Empty: none.',
    preset: '',
    parse: (value) => (value === '' ? '' : parseHostPort(value, '127.0.0.1:5000')),
  },
  gonkBodyBytesMax: {
    doc: 'The largest request of a client of Gonk, with content as base64; in bytes or as 64 MiB.',
    preset: '64 MiB',
    parse: parseBytes,
  },
  logLevel: {
    doc: `What the daemon logs: ${logLevels.join(', ')}.`,
    preset: 'info',
    parse: parseLogLevel,
    variable: 'GONK_LOG',
  },
}

const names = Object.keys(settings).filter(isSettingName)
const YAML = { logLevel: 'error' } as const

export type Source = 'default' | 'file' | 'environment' | 'flag'

const placeOf = {
  file: 'config.yaml in the home',
  environment: 'the environment variable',
  flag: 'the option',
} as const

export interface LoadedConfig {
  readonly config: Config
  /** Where each value came from. */
  readonly sources: Readonly<Record<SettingName, Source>>
}

/** Raw values by setting, as flags give them; undefined ones do not count. */
export type Flags = { readonly [Name in SettingName]?: unknown }

/**
 * Reads every source into one frozen Config. `text` is the config file.
 * Throws CONFIG once, naming every bad field (`details.problems`).
 */
export function loadConfig(text = '', flags: Flags = {}, environment = process.env): LoadedConfig {
  const problems: string[] = []
  const file = parseFile(text, problems)
  const culprits = new Set<Source>(problems.length > 0 ? ['file'] : [])
  const values: Partial<Record<SettingName, unknown>> = {}
  const sources: Partial<Record<SettingName, Source>> = {}
  for (const name of names) {
    const [source, raw] = rawValue(name, file, flags, environment)
    sources[name] = source
    try {
      values[name] = deepFreeze(settings[name].parse(raw))
    } catch (error) {
      const where = source === 'environment' ? `${name} (${variableOf(name)})` : name
      culprits.add(source)
      problems.push(`${where}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  if (problems.length > 0) {
    const todo = (['file', 'environment', 'flag'] as const).filter((at) => culprits.has(at))
    const hint = `correct ${todo.map((at) => placeOf[at]).join(' and ')}`
    throw new GonkError('CONFIG', problems.join('; '), { hint, details: { problems } })
  }
  return {
    config: Object.freeze(values) as Config,
    sources: Object.freeze(sources) as Record<SettingName, Source>,
  }
}

/** Text of a new config file: every setting explained and commented out, but for the given name. */
export function newConfigText(name?: string): string {
  const entries = names.map((setting) => {
    const doc = settings[setting].doc.replaceAll(/^/gm, '# ')
    const line = `${setting}: ${yamlInline(settings[setting].preset)}`
    return setting === 'name' && name ? `${doc}\nname: ${yamlInline(name)}\n` : `${doc}\n#${line}\n`
  })
  const head = [
    '# Settings of this gonk-node. GONK_… variables and flags stand above this file.',
    '# They are read at start; `gonk-node config set` edits this file and keeps comments.',
  ]
  return [...head, '', ...entries].join('\n')
}

/**
 * The config file with one setting changed and every comment kept. `values`: one word, or the
 * elements of a list. Throws CONFIG when the value or the file is bad.
 */
export function withSetting(text: string, name: string, values: readonly string[]): string {
  const setting = checkedName(name)
  const isList = Array.isArray(settings[setting].preset)
  if (!isList && values.length !== 1) throw new GonkError('CONFIG', `${name}: takes one value`)
  const value = isList ? values.flatMap(elementsOf) : values[0]
  try {
    settings[setting].parse(value)
  } catch (error) {
    throw new GonkError('CONFIG', `${name}: ${error instanceof Error ? error.message : 'bad'}`, {
      hint: `\`gonk-node config list\` says what ${name} means`,
    })
  }
  // A setting that is only there as a comment keeps its place below its explanation.
  const isThere = new RegExp(`^${setting}:`, 'm').test(text)
  const comment = new RegExp(`^# ?${setting}:.*$`, 'm')
  const document = parseDocument(isThere ? text : text.replace(comment, `${setting}: x`), YAML)
  const number = typeof settings[setting].preset === 'number' ? Number(value) : value
  const changed = textWith(document, setting, number)
  loadConfig(changed, {}, {})
  return changed
}

function textWith(document: Document, name: string, value: unknown): string {
  try {
    if (document.errors[0] !== undefined) throw document.errors[0]
    const before = document.get(name, true)
    const after = document.createNode(value, { flow: true })
    if (isNode(before)) Object.assign(after, { comment: before.comment ?? null })
    document.set(name, after)
    return document.toString({ lineWidth: 0 })
  } catch (error) {
    throw new GonkError('CONFIG', yamlProblem(error as Error), { hint: `correct ${placeOf.file}` })
  }
}

/** @returns the name when it is one of a setting. Throws CONFIG. */
export function checkedName(name: string): SettingName {
  if (isSettingName(name)) return name
  throw new GonkError('CONFIG', `there is no setting ${name}`, {
    hint: `give one of ${names.join(', ')}`,
  })
}

/** A value as a person would write it: `127.0.0.1:5050`, `a, b`, `10737418240`. */
export function settingText(value: Config[SettingName]): string {
  if (Array.isArray(value)) return value.join(', ')
  return typeof value === 'object' && 'port' in value ? hostPortText(value) : String(value)
}

export function hostPortText({ host, port }: HostPort): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** What the environment says before any home is known. */
export function environment(variables = process.env): {
  /** GONK_HOME, or ~/.gonk. */
  readonly home: string
  /** GONK_DEBUG is set: stack traces are shown. */
  readonly debug: boolean
} {
  const { GONK_HOME: home, GONK_DEBUG: debug } = variables
  return { home: home || join(homedir(), '.gonk'), debug: debug !== undefined && debug !== '' }
}

export function variableOf(name: SettingName): string {
  const snake = name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()
  return settings[name].variable ?? `GONK_${snake}`
}

function isSettingName(name: string): name is SettingName {
  return Object.hasOwn(settings, name)
}

function parseFile(text: string, problems: string[]): Record<string, unknown> {
  const value = valueOf(parseDocument(text, YAML), problems)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    problems.push('config.yaml: must be a map of settings')
    return {}
  }
  for (const key of Object.keys(value)) {
    if (!isSettingName(key)) problems.push(`${key}: there is no such setting`)
  }
  return { ...value }
}

/** Aliases are followed only here: some lead nowhere, and some to far too much. */
function valueOf(document: Document, problems: string[]): unknown {
  problems.push(...document.errors.map(yamlProblem))
  try {
    if (document.errors.length === 0) return document.toJS() ?? {}
  } catch (error) {
    problems.push(yamlProblem(error as Error))
  }
  return {}
}

/** Without the picture of the place below the message. */
const yamlProblem = (error: Error) =>
  `config.yaml: ${error.message.split('\n')[0]?.replace(/:$/, '')}`

function rawValue(
  name: SettingName,
  file: Record<string, unknown>,
  flags: Flags,
  variables: NodeJS.ProcessEnv,
): readonly [Source, unknown] {
  const flag = flags[name]
  if (flag !== undefined) return ['flag', flag]
  const variable = variables[variableOf(name)]
  if (variable !== undefined && variable !== '') {
    const isList = Array.isArray(settings[name].preset)
    return ['environment', isList ? elementsOf(variable) : variable]
  }
  const value = file[name]
  return value === undefined || value === null
    ? ['default', settings[name].preset]
    : ['file', value]
}

function elementsOf(text: string): string[] {
  return text.split(/[\s,]+/).filter((element) => element !== '')
}

function listOf(parse: (value: unknown) => string) {
  return (value: unknown): readonly string[] => {
    const list = typeof value === 'string' ? elementsOf(value) : value
    if (!Array.isArray(list)) throw new Error('must be a list')
    return list.map(parse)
  }
}

function parseText(value: unknown): string {
  if (typeof value !== 'string' && typeof value !== 'number') throw new Error('must be text')
  return String(value)
}

/** Reads `HOST:PORT`, also `[::1]:PORT`. Throws an Error that says what is wrong, with the example. */
export function parseHostPort(value: unknown, example = '127.0.0.1:5050'): HostPort {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s/]+)):(\d{1,5})$/.exec(String(value))
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  if (host === undefined || port > 65_535) {
    throw new Error(`${JSON.stringify(value)} is not HOST:PORT, such as ${example}`)
  }
  return { host, port }
}

function parseHost(value: unknown): string {
  const host = parseText(value)
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
  if (/^[a-z0-9._-]+$/.test(host) || /^[0-9a-f:.]+$/.test(host)) return host
  throw new Error(`${JSON.stringify(value)} is not a host name`)
}

function parseMultiaddr(value: unknown): string {
  try {
    return multiaddr(parseText(value)).toString()
  } catch {
    throw new Error(`${JSON.stringify(value)} is not a multiaddr, such as /ip4/127.0.0.1/tcp/4050`)
  }
}

function parsePeerId(value: unknown): string {
  const text = parseText(value)
  if (/^(12D3Koo|16Uiu2HA|Qm)[1-9A-HJ-NP-Za-km-z]{40,60}$/.test(text)) return text
  throw new Error(`${JSON.stringify(value)} is not a peer id, such as 12D3Koo…`)
}

function parseCount(value: unknown): number {
  const count = Number(value)
  if (Number.isSafeInteger(count) && count > 0) return count
  throw new Error(`${JSON.stringify(value)} is not a whole number above 0`)
}

function parseBytes(value: unknown): number {
  const match = /^(\d+(?:\.\d+)?)\s*(?:(Ki|Mi|Gi|Ti)?B)?$/.exec(String(value))
  const power = ['', 'Ki', 'Mi', 'Gi', 'Ti'].indexOf(match?.[2] ?? '')
  const bytes = Math.round(Number(match?.[1]) * 1024 ** power)
  if (Number.isSafeInteger(bytes)) return bytes
  throw new Error(`${JSON.stringify(value)} is not a size, such as 1073741824 or 1 GiB`)
}

function parseLogLevel(value: unknown): LogLevel {
  const level = logLevels.find((known) => known === value)
  if (level !== undefined) return level
  throw new Error(`${JSON.stringify(value)} is not one of ${logLevels.join(', ')}`)
}

function yamlInline(value: string | number | readonly string[]): string {
  if (typeof value === 'number') return String(value)
  if (typeof value === 'string')
    return /^[\w./ -]+(:\d+)?$/.test(value) ? value : JSON.stringify(value)
  return `[${value.map((element) => JSON.stringify(element)).join(', ')}]`
}

function deepFreeze<T>(value: T): T {
  return typeof value === 'object' && value !== null ? Object.freeze(value) : value
}
