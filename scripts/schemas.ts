/**
 * Writes the JSON Schemas of the wire contract to `schemas/`. With `--check` nothing is written: the process exits 1 and
 * names each file that is stale, missing, or belongs to nothing.
 */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { entrySchema } from '../src/bus/contract.ts'
import { ledgerMemberSchema, payloadSchemas } from '../src/bus/schema.ts'

/** File name to content, of every schema of the contract. */
export function schemaFiles(): Map<string, string> {
  const files = new Map<string, string>()
  const add = (name: string, schema: z.ZodType): void => {
    // 'input' leaves objects open: a field that a later version adds is no error for a reader of today.
    const { $schema, ...rest } = z.toJSONSchema(schema, { io: 'input' })
    files.set(`${name}.json`, `${JSON.stringify({ $schema, title: name, ...rest }, null, 2)}\n`)
  }
  add('entry', entrySchema)
  add('ledger-member', ledgerMemberSchema)
  for (const [type, schema] of Object.entries(payloadSchemas)) add(type, schema)
  return files
}

/** What differs between the folder and the code, one line each; empty when all is current. */
export function staleFiles(folder: string, files = schemaFiles()): string[] {
  const problems: string[] = []
  for (const [name, content] of files) {
    const path = join(folder, name)
    if (!existsSync(path)) problems.push(`${name} is missing`)
    else if (readFileSync(path, 'utf8') !== content) problems.push(`${name} is stale`)
  }
  for (const name of readdirSync(folder))
    if (name.endsWith('.json') && !files.has(name)) problems.push(`${name} belongs to no schema`)
  return problems
}

function main(): void {
  const folder = join(import.meta.dirname, '..', 'schemas')
  const files = schemaFiles()
  const problems = staleFiles(folder, files)
  if (process.argv.includes('--check')) {
    for (const problem of problems) console.error(`schemas: ${problem}; run "npm run schemas"`)
    process.exitCode = problems.length > 0 ? 1 : 0
    return
  }
  for (const name of readdirSync(folder)) if (name.endsWith('.json') && !files.has(name)) rmSync(join(folder, name))
  for (const [name, content] of files) writeFileSync(join(folder, name), content)
}

if (import.meta.main) main()
