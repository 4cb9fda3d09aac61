import { enableCompileCache } from 'node:module'

// What was compiled once is not compiled again: more than half of the time that a start takes. It holds for what is loaded from
// here on, so this file imports nothing else.
enableCompileCache()
await import('./command-line.ts')
