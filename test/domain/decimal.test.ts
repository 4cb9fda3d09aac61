import { expect } from 'chai'
import fc from 'fast-check'
import {
  addDecimal,
  compareDecimal,
  DECIMAL_LENGTH_MAX,
  divideDecimal,
  isDecimal,
  isUnsignedDecimal,
  isZeroDecimal,
  multiplyDecimal,
  scaleOf,
  subtractDecimal,
  trimDecimal,
} from '../../src/domain/decimal.ts'

/** The naive twin: a fraction of two big integers. */
interface Fraction {
  readonly over: bigint
  readonly under: bigint
}

function fraction(text: string): Fraction {
  const [whole = '', part = ''] = text.split('.')
  return { over: BigInt(whole + part), under: 10n ** BigInt(part.length) }
}

function same(left: Fraction, right: Fraction): boolean {
  return left.over * right.under === right.over * left.under
}

const digits = fc.stringMatching(/^[0-9]{1,18}$/)
const decimal = fc
  .tuple(fc.constantFrom('', '-'), digits, fc.option(digits, { nil: null }))
  .map(([sign, whole, part]) => `${sign}${whole}${part === null ? '' : `.${part}`}`)

describe('decimal', () => {
  for (const text of [
    '0',
    '1',
    '0.00000638',
    '61837.63000000',
    '-420.97',
    '-0.0',
    '007',
    '9'.repeat(DECIMAL_LENGTH_MAX),
  ]) {
    it(`admits ${text}`, () => {
      expect(isDecimal(text)).to.equal(true)
      expect(isUnsignedDecimal(text)).to.equal(!text.startsWith('-'))
    })
  }

  const refused = [
    '',
    '-',
    '.',
    '.5',
    '5.',
    '-.5',
    '1..2',
    '1.2.3',
    '+1',
    '1e5',
    '1E-5',
    'NaN',
    'Infinity',
    '-Infinity',
  ]
  for (const text of [
    ...refused,
    ' 1',
    '1 ',
    '1,5',
    '0x10',
    '--1',
    '1-',
    '\u0661',
    '1\n',
    '9'.repeat(DECIMAL_LENGTH_MAX + 1),
  ]) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      expect(isDecimal(text)).to.equal(false)
      expect(isUnsignedDecimal(text)).to.equal(false)
    })
  }

  it('admits exactly what the grammar says', () => {
    const noise = fc.string({ unit: fc.constantFrom('0', '5', '.', '-', 'e', '+'), maxLength: 8 })
    fc.assert(
      fc.property(fc.oneof(noise, decimal), (text) => {
        expect(isDecimal(text)).to.equal(/^-?\d+(\.\d+)?$/.test(text) && text.length <= DECIMAL_LENGTH_MAX)
      }),
      { numRuns: 2_000 },
    )
  })

  it('compares, adds and multiplies as fractions do', () => {
    fc.assert(
      fc.property(decimal, decimal, (left, right) => {
        const a = fraction(left)
        const b = fraction(right)
        const difference = a.over * b.under - b.over * a.under
        expect(Math.sign(compareDecimal(left, right))).to.equal(difference < 0n ? -1 : difference > 0n ? 1 : 0)
        const sum = { over: a.over * b.under + b.over * a.under, under: a.under * b.under }
        expect(same(fraction(addDecimal(left, right)), sum)).to.equal(true)
        const product = { over: a.over * b.over, under: a.under * b.under }
        expect(same(fraction(multiplyDecimal(left, right)), product)).to.equal(true)
      }),
      { numRuns: 2_000 },
    )
  })

  it('trims to one spelling per value and knows zero', () => {
    fc.assert(
      fc.property(decimal, decimal, (left, right) => {
        const trimmed = trimDecimal(left)
        expect(same(fraction(trimmed), fraction(left))).to.equal(true)
        expect(trimmed).to.match(/^(0|-?([1-9]\d*|0(?=\.))(\.\d*[1-9])?)$/)
        expect(trimDecimal(trimmed)).to.equal(trimmed)
        expect(trimDecimal(left) === trimDecimal(right)).to.equal(compareDecimal(left, right) === 0)
        expect(isZeroDecimal(left)).to.equal(trimmed === '0')
      }),
      { numRuns: 2_000 },
    )
  })

  it('compares values that differ only in spelling as equal', () => {
    fc.assert(
      fc.property(decimal, fc.nat(5), fc.nat(5), (text, before, after) => {
        const sign = text.startsWith('-') ? '-' : ''
        const body = text.slice(sign.length)
        const padded = `${sign}${'0'.repeat(before)}${body.includes('.') ? body : `${body}.0`}${'0'.repeat(after)}`
        expect(compareDecimal(text, padded)).to.equal(0)
        expect(trimDecimal(padded)).to.equal(trimDecimal(text))
      }),
    )
  })

  it('spells known values as expected', () => {
    expect(trimDecimal('0.00000638')).to.equal('0.00000638')
    expect(trimDecimal('100.00')).to.equal('100')
    expect(trimDecimal('-0.000')).to.equal('0')
    expect(addDecimal('0.1', '0.2')).to.equal('0.3')
    expect(multiplyDecimal('177', '0.00000638')).to.equal('0.00112926')
  })

  it('divides to the nearest decimal, half to even', () => {
    fc.assert(
      fc.property(decimal, decimal, fc.nat(20), (left, right, places) => {
        fc.pre(!isZeroDecimal(right))
        const quotient = divideDecimal(left, right, places)
        expect(scaleOf(quotient)).to.be.at.most(places)
        // Twice the distance between left and quotient x right is at most one unit of the last place times right.
        const distance = subtractDecimal(left, multiplyDecimal(quotient, right)).replace('-', '')
        const unit = multiplyDecimal(places === 0 ? '1' : `0.${'0'.repeat(places - 1)}1`, right.replace('-', ''))
        const order = compareDecimal(addDecimal(distance, distance), unit)
        expect(order).to.be.at.most(0)
        if (order === 0) {
          const last = scaleOf(quotient) < places ? '0' : quotient.slice(-1)
          expect(Number(last) % 2).to.equal(0)
        }
      }),
      { numRuns: 2_000 },
    )
    expect(divideDecimal('1', '8', 2)).to.equal('0.12')
    expect(divideDecimal('3', '8', 2)).to.equal('0.38')
    expect(divideDecimal('-1', '8', 2)).to.equal('-0.12')
    expect(divideDecimal('2', '3', 4)).to.equal('0.6667')
    expect(() => divideDecimal('1', '0.00', 2)).to.throw(RangeError)
  })
})
