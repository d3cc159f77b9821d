// What one request may take, and all of them together. In bytes; Neon's where it has them.

export const longestBodyBytes = 10 * 1024 ** 2
export const longestAnswerBytes = 10 * 1024 ** 2
export const tooLongAnswer = `the answer is larger than ${longestAnswerBytes / 1024 ** 2} MiB: ask for fewer rows with limit, or for fewer columns with select; what the request has changed stays changed`
/** Of bodies in memory at the same time. */
export const mostBodyBytes = 256 * 1024 ** 2
/** At work at the same time. */
export const mostRequests = 1_000
