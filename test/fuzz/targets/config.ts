// The config file: YAML text, and changes of it.
import { loadConfig, settings, withSetting } from '../../../src/config.ts'
import { allowing, hold, holdSame, type Target, textOf, utf8 } from '../target.ts'

const names = Object.keys(settings)
const own = { isOwn: true }
const samples = [
  '# Name.\n#name: ""\nhttp: 127.0.0.1:0 # here\n',
  'http: 127.0.0.1:0\nlisten: [/ip4/127.0.0.1/tcp/4050]\npeers: []\n',
  'poolBytesMax: 1 GiB\nlogLevel: debug\nallow:\n  - 12D3KooWGRUfFFrKPFqtBHrNKLpYVFTWrGUvdJ7b4UkPnMYzDMvC\n',
  'a: &a [1, 2]\nb: *a\n',
  'x: &x [&y [1], *y, *y]\nname: *x\n',
  '<<: {name: ada}\n? [a]\n: !!binary AAAA\n',
  'name: |\n  a\n--- \nname: "\\u0000"\n',
]

export const target: Target = {
  seeds: () => [...samples, ...samples.map((text) => `\u0001${text}`)].map(utf8),
  words: [
    ...names.map((name) => `${name}: `),
    ...['&a ', '*a', '!!set ', '<<: ', '|\n', '? ', '- '],
  ],
  bytesMax: 400,
  check: (bytes) => {
    const text = textOf(bytes.subarray(1))
    const loaded = allowing(['CONFIG'], () => loadConfig(text, {}, {}), own)
    if (loaded) holdSame(Object.keys(loaded.config), names, 'every setting has a value')
    const name = names[(bytes[0] ?? 0) % names.length] as string
    const { preset } = settings[name as keyof typeof settings]
    const words = Array.isArray(preset) ? ['/ip4/127.0.0.1/tcp/1'] : [String(preset)]
    const changed = allowing(['CONFIG'], () => withSetting(text, name, words), own)
    if (changed !== undefined) hold(changed.includes(name), 'a setting that was set')
  },
}
