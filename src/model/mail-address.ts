// What mail may be sent to. Pure.

const longestAddress = 254
/** Whatever divides, ends or comments addresses in a header is in no address: it would be another one there. */
// oxlint-disable-next-line no-control-regex -- these are what is refused
const plainAddress = /^[^\s"(),:;<>@[\]\\\u0000-\u001f\u007f-\u009f]+@[^\s"(),:;<>@[\]\\\u0000-\u001f\u007f-\u009f]+$/

export const isMailAddress = (text: string): boolean => text.length <= longestAddress && plainAddress.test(text)
