// Server-sent events as the documents in them.
import { errorOfProblem } from './problem.ts'

/** The `data` of each event, parsed. An event called `error` is thrown. */
export async function* dataOf(response: Response): AsyncGenerator<unknown> {
  const decoder = new TextDecoder()
  let pending = ''
  for await (const chunk of response.body ?? []) {
    const frames = (pending + decoder.decode(chunk, { stream: true })).split('\n\n')
    pending = frames.pop() ?? ''
    for (const frame of frames) {
      const { name, data } = partsOf(frame)
      if (data === '') continue
      const value: unknown = JSON.parse(data)
      if (name === 'error') throw errorOfProblem(value, response.status)
      yield value
    }
  }
}

function partsOf(frame: string): { name: string; data: string } {
  let name = ''
  let data = ''
  for (const line of frame.split('\n')) {
    if (line.startsWith('event: ')) name = line.slice('event: '.length)
    if (line.startsWith('data: ')) data += line.slice('data: '.length)
  }
  return { name, data }
}
