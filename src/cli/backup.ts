// `backup` and `restore`.
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { countText, pairs, printable, sizeText, table } from './output.ts'
import type { Session } from './session.ts'
import { examples, ExitStatus, task } from './task.ts'

interface Dataset {
  readonly name: string
  readonly id: string
  readonly root?: string | undefined
}

export function addBackup(program: Command): void {
  program
    .command('backup')
    .argument(
      '<dir>',
      'a new folder, or one with an older backup of this node, which is made newer',
    )
    .description('copy the whole home, also while the daemon runs')
    .option('--without-keys', 'leave out signing keys and users: whoever has it can sign nothing')
    .action(task(backup))
    .addHelpText(
      'after',
      examples([
        'gonk-node backup /mnt/disk/gonk             only what is new, when repeated',
        'gonk-node backup /mnt/disk/gonk --without-keys',
      ]),
    )
  program
    .command('restore')
    .argument('<dir>', 'a folder that `backup` made')
    .description('make a home from a backup, at --home, which must be new or empty')
    .option('--check', 'read and check the whole backup; make nothing; exit status 1 if damaged')
    .action(task(restore))
    .addHelpText(
      'after',
      examples([
        'gonk-node --home /data/gonk restore /mnt/disk/gonk',
        'gonk-node restore /mnt/disk/gonk --check',
      ]),
    )
}

async function backup(
  session: Session,
  dir: string,
  { withoutKeys = false }: { withoutKeys?: boolean },
): Promise<void> {
  const request = { directory: resolve(dir), keys: !withoutKeys }
  await session.withNode(async (api) => {
    const result = await api.backup(request, session.running)
    session.output.result(result, () => {
      const { blocks, rows, keys } = result
      const content = `${countText(blocks.count, 'block')} (${sizeText(blocks.bytes)})`
      return [
        pairs({
          backup: result.directory,
          at: result.at,
          rows,
          content: `${content}, ${blocks.added} new`,
          keys: keys ? 'in it: keep it as safe as the home' : 'left out',
        }),
        datasetsText(result.datasets),
      ].join('\n')
    })
    if (!result.keys) {
      session.output.note('no keys are in it, nor those of an older backup in that folder any more')
    }
    if (result.blocks.missing === 0) return
    const missing = countText(result.blocks.missing, 'block')
    session.output.note(`${missing} of content missing here, and so in the backup: see \`verify\``)
  })
}

async function restore(
  session: Session,
  dir: string,
  { check = false }: { check?: boolean },
): Promise<void> {
  const { checkBackup, restoreBackup } = await import('../backup/restore.ts')
  if (check) {
    const { manifest, problems } = await checkBackup(dir, session.running)
    const { at, peerId, publicKey, keys, blocks } = manifest
    const ok = problems.length === 0
    session.output.result({ ok, at, peerId, publicKey, keys, blocks, problems }, () =>
      ok
        ? `ok: a backup of ${at}, ${countText(blocks.count, 'block')}, ${sizeText(blocks.bytes)}, ` +
          `${keys ? 'with' : 'without'} keys`
        : [`${countText(problems.length, 'problem')}`, ...problems.map(printable)].join('\n'),
    )
    if (!ok) throw new ExitStatus(1)
    return
  }
  const options = { signal: session.signal, onProgress: session.output.onProgress }
  const { manifest, home, damaged } = await restoreBackup(dir, await session.homeDir(), options)
  const { at, keys, datasets, blocks } = manifest
  const { publicKey, peerId } = home
  const result = { home: home.dir, at, publicKey, peerId, keys, datasets, damaged }
  session.output.result(result, () =>
    [
      pairs({
        home: home.dir,
        'backup of': at,
        'public key': publicKey,
        'peer id': peerId,
        content: `${countText(blocks.count - damaged, 'block')} of ${blocks.count}`,
      }),
      datasetsText(datasets),
    ].join('\n'),
  )
  if (damaged > 0) {
    const what = countText(damaged, 'block')
    session.output.note(`${what} of content missing or damaged in the backup: see \`verify\``)
  }
  session.output.note(
    keys
      ? 'these are the keys of the node that was backed up: never run both at the same time'
      : 'the backup has no keys: this is a new node with keys of its own, and no owner of anything',
  )
}

function datasetsText(datasets: readonly Dataset[]): string {
  if (datasets.length === 0) return 'no datasets'
  const rows = datasets.map(({ name, id, root = '' }) => [name, id, root])
  return table(['NAME', 'ID', 'ROOT THEN'], rows)
}
