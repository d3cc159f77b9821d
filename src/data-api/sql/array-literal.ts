/** Texts as the value of a parameter that is an array: each quoted, so that nothing in one divides elements or is null. */
export const arrayLiteral = (values: readonly string[]): string =>
  `{${values.map((value) => `"${value.replaceAll(/["\\]/g, (sign) => `\\${sign}`)}"`).join(',')}}`
