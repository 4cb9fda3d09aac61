import { spawnSync } from 'node:child_process'
import { copyFileSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Makes `dist/`: compiled modules with their declarations, and the Lua scripts where the code looks for them. */
process.chdir(fileURLToPath(new URL('..', import.meta.url)))
rmSync('dist', { recursive: true, force: true })

const compiler = fileURLToPath(import.meta.resolve('typescript/package.json'))
const { status } = spawnSync(process.execPath, [join(dirname(compiler), 'bin/tsc'), '-p', 'tsconfig.build.json'], {
  stdio: 'inherit',
})
if (status !== 0) process.exit(status ?? 1)

for (const script of globSync('src/**/*.lua')) {
  const target = script.replace(/^src/, 'dist')
  mkdirSync(dirname(target), { recursive: true })
  copyFileSync(script, target)
}

// The compiler rewrites the extensions of imports, but not of modules that are started as workers by their address.
for (const file of globSync('dist/**/*.js')) {
  const code = readFileSync(file, 'utf8')
  const rewritten = code.replace(
    /new URL\((['"])(\.{1,2}\/[^'"]+)\.ts\1, import\.meta\.url\)/g,
    'new URL($1$2.js$1, import.meta.url)',
  )
  if (rewritten !== code) writeFileSync(file, rewritten)
}
