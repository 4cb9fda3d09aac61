#!/usr/bin/env node
// Written for any Node that knows ES modules, so that an old one says what it needs instead of failing on newer syntax.
var major = Number(process.versions.node.split('.')[0])
if (major < 24) {
  console.error(`meltica needs Node 24 or newer, found ${process.version}`)
  process.exit(1)
}
import('../dist/cli/meltica.js').catch((error) => {
  if (error.code !== 'ERR_MODULE_NOT_FOUND' || !/dist.cli.meltica\.js/.test(error.message)) throw error
  console.error('meltica: expected the built program in dist/, found none. In a checkout run `npm run build` first.')
  process.exit(1)
})
