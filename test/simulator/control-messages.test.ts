import { expect } from 'chai'
import { errorText, parseControl, resultText } from '../../src/simulator/control-messages.ts'

describe('control messages', () => {
  const reply = (text: string): string => {
    const message = parseControl(text)
    return message.method === 'ERROR' ? errorText(message, 'flat') : resultText(null, message.id)
  }

  it('echoes every form of id as it came, 64-bit integers digit for digit', () => {
    for (const id of ['1', '-9223372036854775808', '9223372036854775807', '"abcXYZ-09"', 'null']) {
      expect(reply(`{"method":"SUBSCRIBE","params":["a@trade"],"id":${id}}`)).to.equal(`{"result":null,"id":${id}}`)
    }
    expect(reply('{"method":"LIST_SUBSCRIPTIONS"}')).to.equal('{"result":null,"id":null}')
  })

  const table: readonly [what: string, text: string, code: number, words: RegExp][] = [
    ['JSON that is none', '{"method":', 3, /^Invalid JSON: expected value at line 1 column/],
    ['an array', '[]', 2, /^Invalid request:/],
    [
      'a number past 64 bits as id',
      '{"method":"SUBSCRIBE","id":9223372036854775808}',
      2,
      /request ID must be an unsigned integer/,
    ],
    ['a fraction as id', '{"method":"SUBSCRIBE","id":1.5}', 2, /request ID must be/],
    ['a long string as id', `{"method":"SUBSCRIBE","id":"${'a'.repeat(37)}"}`, 2, /request ID must be/],
    [
      'an unknown method',
      '{"method":"HELLO","id":1}',
      2,
      /unknown variant `HELLO`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`/,
    ],
    ['no method', '{"id":1}', 2, /missing field `method`/],
    ['a stream that is no string', '{"method":"SUBSCRIBE","params":[1],"id":1}', 2, /^Invalid request:/],
    ['params that are no list', '{"method":"SUBSCRIBE","params":"a","id":1}', 2, /expected a sequence/],
    ['an unknown property', '{"method":"GET_PROPERTY","params":["colour"],"id":1}', 0, /^Unknown property$/],
    [
      'a property that is no name',
      '{"method":"GET_PROPERTY","params":[1],"id":1}',
      2,
      /property name must be a string/,
    ],
    [
      'a value that is no Boolean',
      '{"method":"SET_PROPERTY","params":["combined",1],"id":1}',
      1,
      /^Invalid value type: expected Boolean$/,
    ],
    ['too many parameters', '{"method":"SET_PROPERTY","params":["combined",true,1],"id":1}', 2, /too many parameters/],
  ]
  for (const [what, text, code, words] of table) {
    it(`refuses ${what} with code ${code}`, () => {
      const answer = JSON.parse(reply(text)) as { code: number; msg: string }
      expect(answer.code).to.equal(code)
      expect(answer.msg).to.match(words)
    })
  }

  it('can say errors flat and nested', () => {
    const message = parseControl('{"method":"GET_PROPERTY","params":["x"],"id":7}')
    if (message.method !== 'ERROR') return expect.fail('expected an error')
    expect(errorText(message, 'flat')).to.equal('{"code":0,"msg":"Unknown property","id":7}')
    expect(errorText(message, 'nested')).to.equal('{"error":{"code":0,"msg":"Unknown property"},"id":7}')
  })
})
