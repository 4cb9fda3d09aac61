import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { Run } from '../../bench/runs.ts'
import { writeTape } from '../../bench/tape.ts'

describe('a run of the bench', function () {
  this.timeout(30_000)

  it('plays what the tape has and fails where more is asked for', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'meltica-runs-'))
    const tape = join(folder, 'tape')
    const stream = 'btcusdt@trade'
    const frames = [1, 2, 3, 4].map((t) => ({ stream, text: JSON.stringify({ stream, data: { t } }) }))
    const head = writeTape(tape, { frames, levels: [], books: {} }, 'made up')
    const run = await Run.open('parse-only', tape, head)
    try {
      expect((await run.play(3)).frames).to.equal(3)
      const error = await run.play(2).then(
        () => expect.fail('expected a failure'),
        (cause: Error) => cause,
      )
      expect(error.message).to.equal('expected 5 frames on the tape, found 4')
      expect((await run.play(1)).frames).to.equal(1)
    } finally {
      await run.close()
      rmSync(folder, { recursive: true })
    }
  })
})
