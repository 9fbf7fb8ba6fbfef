// What went wrong with the file system, as a code and a file a person can act on.
import { GonkError } from '../core/errors.ts'

/** DISK, naming `file`; a GonkError is passed on as it is. */
export function diskError(error: unknown, file: string): GonkError {
  if (error instanceof GonkError) return error
  const reason = error instanceof Error ? error.message : String(error)
  return new GonkError('DISK', `${file}: ${reason}`, { details: { file }, cause: error })
}

/** Waits for work on `file`; what fails is thrown as DISK. */
export async function onDisk<T>(work: Promise<T>, file: string): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw diskError(error, file)
  }
}
