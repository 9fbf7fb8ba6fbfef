// `clone`, `share`, `checkout`, `verify` and `gc`: whole datasets between nodes and disks.
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { countText, pairs, printable, sizeText } from './output.ts'
import type { Session } from './session.ts'
import { collect, datasetArgument, examples, ExitStatus, task } from './task.ts'

interface CloneOptions {
  readonly peer?: string[]
  readonly name?: string
  readonly pinOnly?: boolean
  readonly anchor?: string
}

export function addTransfer(program: Command): void {
  program
    .command('clone')
    .argument('<ref>', 'root CID, dataset id or gonk:// link')
    .description('fetch a dataset with its full history, verify everything, then follow it')
    .option('--peer <multiaddr>', 'a node that has it; may be repeated', collect)
    .option('--name <name>', 'how to call it here')
    .option('--pin-only', 'keep and serve exactly this root, do not follow')
    .option('--anchor <cid>', 'a checkpoint to trust: what it settles stands here')
    .action(task(clone))
    .addHelpText(
      'after',
      examples([
        'gonk-node clone bafyrei… --peer /ip4/10.0.0.2/tcp/4050/p2p/12D3KooW…',
        "gonk-node clone 'gonk://bafyrei…?root=bafyrei…&peer=…' --name cells",
        'gonk-node clone bafyrei… --peer MULTIADDR --anchor bafyrei…',
      ]),
    )
  program
    .command('share')
    .addArgument(datasetArgument())
    .description('print a gonk:// link another person can clone')
    .action(
      task((session: Session, dataset: string) =>
        session.withNode(async (api) => {
          const result = await api.share(dataset)
          session.output.result(result, () => result.link)
          const doubt = doubtOf(result.link)
          if (doubt !== undefined) session.output.note(doubt)
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node share cells']))
  addLocal(program)
}

function addLocal(program: Command): void {
  program
    .command('checkout')
    .addArgument(datasetArgument({ tag: true }))
    .argument('<dir>')
    .description('write the accepted files into a directory')
    .action(
      task((session: Session, dataset: string, directory: string) =>
        session.withNode(async (api) => {
          const result = await api.checkout(dataset, resolve(directory), session.running)
          session.output.result(result, () => {
            const what = `${countText(result.files, 'file')} (${sizeText(result.bytes)})`
            return `wrote ${what} to ${directory}`
          })
        }),
      ),
    )
    .addHelpText(
      'after',
      examples(['gonk-node checkout cells ./out', 'gonk-node checkout cells@v1 ./v1']),
    )
  program
    .command('verify')
    .addArgument(datasetArgument())
    .description(
      'check every signature, hash, rule and block again; exit status 1 when one is wrong',
    )
    .action(task(verify))
    .addHelpText('after', examples(['gonk-node verify cells']))
  program
    .command('gc')
    .description('delete blocks that nothing keeps')
    .action(
      task((session: Session) =>
        session.withNode(async (api) => {
          const result = await api.gc(session.running)
          session.output.result(
            result,
            () => `deleted ${countText(result.blocks, 'block')} (${sizeText(result.bytes)})`,
          )
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node gc']))
}

/** Why a link will not do for somebody else; undefined when it may. */
function doubtOf(link: string): string | undefined {
  const peers = new URLSearchParams(link.split('?')[1]).getAll('peer')
  if (peers.length === 0) {
    return 'no daemon runs, so the link names no peer; `gonk-node start`, then share again'
  }
  if (peers.some((peer) => !/^\/(ip4\/127\.|ip6\/::1\/)/.test(peer))) return undefined
  return 'only this machine can reach the node; for others start it with --listen /ip4/0.0.0.0/tcp/4050'
}

async function clone(session: Session, ref: string, options: CloneOptions): Promise<void> {
  const { peer, name, pinOnly, anchor } = options
  const request = {
    ref,
    ...(peer === undefined ? {} : { peers: peer }),
    ...(name === undefined ? {} : { name }),
    ...(pinOnly === undefined ? {} : { pinOnly }),
    ...(anchor === undefined ? {} : { anchor }),
  }
  await session.withNode(async (api) => {
    const result = await api.clone(request, session.running)
    session.output.result(result, () =>
      pairs({
        name: result.name,
        id: result.id,
        root: result.root,
        'state root': result.stateRoot,
        objects: `${result.objects} (${sizeText(result.bytes)})`,
        seconds: result.seconds.toFixed(1),
      }),
    )
  })
}

async function verify(session: Session, dataset: string): Promise<void> {
  await session.withNode(async (api) => {
    const result = await api.verify(dataset, session.running)
    session.output.result(result, () => {
      const { events, blocks, bytes, problems } = result
      const counted = [countText(events, 'event'), countText(blocks, 'block'), sizeText(bytes)]
      const what = counted.join(', ')
      if (result.ok) return `ok: ${what}`
      return [
        `${countText(problems.length, 'problem')} in ${what}`,
        ...problems.map(printable),
      ].join('\n')
    })
    if (!result.ok) throw new ExitStatus(1)
  })
}
