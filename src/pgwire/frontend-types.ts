// Types of a client's messages as bytes, for those who look at frames without making text of them.

const byte = (letter: string): number => letter.charCodeAt(0)

export const query = byte('Q')
export const parse = byte('P')
export const bind = byte('B')
export const describe = byte('D')
export const execute = byte('E')
export const close = byte('C')
export const sync = byte('S')
export const flush = byte('H')
export const functionCall = byte('F')
export const terminate = byte('X')
export const copyData = byte('d')
export const copyDone = byte('c')
export const copyFail = byte('f')
