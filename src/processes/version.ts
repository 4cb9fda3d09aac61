import { readFileSync } from 'node:fs'

const { version: told } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

/** The version of this program, as members of the cluster tell it. */
export const version: string = told
