import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { amountText, dividedRounded, fromCents, parseAmount } from './money.ts'

test('amounts are read and written without a change', () => {
  for (const [text, amount] of [
    ['0.00', 0n],
    ['25.00', 2_500_000_000n],
    ['0.222', 22_200_000n],
    ['-1.50', -150_000_000n],
    ['0.00000001', 1n],
    ['123456789012.12345678', 12_345_678_901_212_345_678n],
  ] as const) {
    assert.equal(parseAmount(text), amount)
    assert.equal(amountText(amount), text)
  }
  assert.equal(parseAmount('7'), 700_000_000n)
  assert.equal(fromCents(5), parseAmount('0.05'))
  fc.assert(
    fc.property(fc.bigInt({ min: -(10n ** 20n) + 1n, max: 10n ** 20n - 1n }), (amount) => {
      assert.equal(parseAmount(amountText(amount)), amount)
    }),
  )
})

test('what is no amount is not taken for one', () => {
  for (const text of ['', '.5', '5.', '1e3', '1,50', '+1', '0x1', 'NaN', '1.123456789', '1234567890123', '1.5 '])
    assert.equal(parseAmount(text), undefined, text)
})

test('a division is rounded to the nearest, halves up', () => {
  assert.deepEqual(
    [0n, 1n, 4n, 5n, 6n, 14n, 15n].map((dividend) => dividedRounded(dividend, 10n)),
    [0n, 0n, 0n, 1n, 1n, 1n, 2n],
  )
})
