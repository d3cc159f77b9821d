// Sizes for tests: about the smallest XFS there is.

const mebibyte = 1024 * 1024

export const smallPool = {
  floorBytes: 16 * mebibyte,
  poolInitialBytes: 320 * mebibyte,
  poolStepBytes: 64 * mebibyte,
}
