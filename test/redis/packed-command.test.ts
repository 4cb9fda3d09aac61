import { expect } from 'chai'
import fc from 'fast-check'
import { Command } from 'ioredis'
import { encodeCommand, PackedCommand } from '../../src/redis/packed-command.ts'

describe('a packed command', () => {
  it('is byte for byte what ioredis would have written', () => {
    const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 60 }), fc.string({ maxLength: 60 }), fc.constant(''))
    fc.assert(
      fc.property(fc.array(text, { maxLength: 30 }), (args) => {
        const expected = new Command('evalsha', [...args]).toWritable({}) as string
        expect(encodeCommand('evalsha', args).equals(Buffer.from(expected))).to.equal(true)
      }),
    )
  })

  it('writes numbers as text, lengths in bytes, and texts longer than the kept memory', () => {
    const long = 'ü'.repeat(3_000_000)
    const bytes = new PackedCommand('set', ['键', 12, long]).toWritable()
    const head = '*4\r\n$3\r\nset\r\n$3\r\n键\r\n$2\r\n12\r\n$6000000\r\n'
    expect(bytes.toString('utf8', 0, Buffer.byteLength(head))).to.equal(head)
    expect(bytes.length).to.equal(Buffer.byteLength(head) + 6_000_002)
  })

  it('owns its bytes', () => {
    const first = encodeCommand('set', ['a', 'b'])
    encodeCommand('set', ['c', 'd'])
    expect(first.toString()).to.equal('*3\r\n$3\r\nset\r\n$1\r\na\r\n$1\r\nb\r\n')
  })
})
