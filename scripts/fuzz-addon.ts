// Lets the native addon of Jazzer.js load where the C and C++ libraries are older than those it was linked
// with, as on Debian 12. It asks newer ones for three names, and none of them for what is new in it.

const SHT_DYNSYM = 11
const SHT_VERNEED = 0x6ffffffe
const SHT_VERSYM = 0x6fffffff
const SYMBOL_BYTES = 24
const VERSION_ANY = 1
const WEAK_FUNCTION = 0x22

/** strtol and strtoul under the names they have had since glibc 2.38; before, they were called so. */
const RENAMED = '__isoc23_'
/** GCC 13's mark that streams are used: it is named and never called. */
const MARK = '_ZSt21ios_base_library_initv'

interface Section {
  readonly type: number
  readonly offset: number
  readonly size: number
  readonly link: number
}

/**
 * A copy of the addon, an ELF file of 64 bits, that asks for these three under their old names, of any version.
 * @throws Error for what is no such file.
 */
export function forOlderLibraries(addon: Uint8Array): Uint8Array {
  const elf = Buffer.from(addon)
  const [elf64, littleEndian] = [elf[4] === 2, elf[5] === 1]
  if (elf.toString('latin1', 0, 4) !== '\x7fELF' || !elf64 || !littleEndian) {
    throw new Error('the addon of Jazzer.js is no ELF file of 64 bits')
  }
  const sections = sectionsOf(elf)
  const symbols = sectionOf(sections, SHT_DYNSYM)
  const versions = sectionOf(sections, SHT_VERSYM)
  const names = sections[symbols.link] as Section
  const given = new Set<number>()
  for (let index = 0; index * SYMBOL_BYTES < symbols.size; index++) {
    const symbol = symbols.offset + index * SYMBOL_BYTES
    const version = versions.offset + index * 2
    const nameAt = elf.readUInt32LE(symbol)
    const start = names.offset + nameAt
    const name = elf.toString('latin1', start, elf.indexOf(0, start))
    if (name.startsWith(RENAMED)) elf.writeUInt32LE(nameAt + RENAMED.length, symbol)
    else if (name === MARK) elf[symbol + 4] = WEAK_FUNCTION
    else continue
    given.add(elf.readUInt16LE(version))
    elf.writeUInt16LE(VERSION_ANY, version)
  }
  giveUpVersions(elf, sectionOf(sections, SHT_VERNEED), given)
  return elf
}

function sectionsOf(elf: Buffer): Section[] {
  const start = Number(elf.readBigUInt64LE(40))
  const bytesEach = elf.readUInt16LE(58)
  return Array.from({ length: elf.readUInt16LE(60) }, (_, index) => {
    const at = start + index * bytesEach
    return {
      type: elf.readUInt32LE(at + 4),
      offset: Number(elf.readBigUInt64LE(at + 24)),
      size: Number(elf.readBigUInt64LE(at + 32)),
      link: elf.readUInt32LE(at + 40),
    }
  })
}

function sectionOf(sections: readonly Section[], type: number): Section {
  const section = sections.find((one) => one.type === type)
  if (section === undefined) throw new Error('the addon of Jazzer.js has no dynamic symbols')
  return section
}

/** Puts another version of the same library in the place of each that nothing asks for any more. */
function giveUpVersions(elf: Buffer, needs: Section, given: ReadonlySet<number>): void {
  for (let library = needs.offset, step = -1; step !== 0; library += step) {
    step = elf.readUInt32LE(library + 12)
    const entries: number[] = []
    let entry = library + elf.readUInt32LE(library + 8)
    for (let left = elf.readUInt16LE(library + 2); left > 0; left--) {
      entries.push(entry)
      entry += elf.readUInt32LE(entry + 12)
    }
    const isGiven = (at: number) => given.has(elf.readUInt16LE(at + 6))
    const kept = entries.find((at) => !isGiven(at))
    for (const at of entries) {
      if (!isGiven(at) || kept === undefined) continue
      // Hash and name.
      elf.copy(elf, at, kept, kept + 4)
      elf.copy(elf, at + 8, kept + 8, kept + 12)
    }
  }
}
