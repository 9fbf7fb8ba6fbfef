import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { it } from 'vitest'
import { aWorld } from './daemon.ts'
import { manyFiles, writeFiles } from './folders.ts'
it('x', { timeout: 500_000 }, async () => {
  const world = await aWorld()
  const [a, c] = world.nodes('A', 'C')
  await a.start()
  await a.api.createDataset({ name: 'cells' })
  const folder = await writeFiles(join(world.dir, 'small'), manyFiles('file', 3, 2_000))
  await a.api.add('cells', { paths: [folder], accept: true })
  const { root } = await a.api.root('cells')
  const env = { NODE_OPTIONS: '--import /tmp/scratch/hang.mjs', GONK_LOG: 'debug' }
  for (let i = 0; i < 40; i++) {
    await c.start([], env)
    await c.api.clone({ ref: root, peers: [a.address], pinOnly: true })
    await c.api.verify('cells')
    const t = Date.now()
    const r = await Promise.race([c.daemon.stop(), new Promise((r) => setTimeout(r, 14000, 'HANG'))])
    console.log(i, 'stop', Date.now() - t, r)
    if (r === 'HANG') { console.log(c.daemon.lines().map((l) => l.msg?.startsWith?.('HANDLE') ? l.msg : JSON.stringify(l)).join('\n')); break }
    await rm(c.home, { recursive: true })
  }
})
