// How long what is given out here is good for, in seconds.

export const sessionLifeSeconds = 7 * 24 * 3_600
export const tokenLifeSeconds = 15 * 60
export const resetLifeSeconds = 3_600
export const verificationLifeSeconds = 24 * 3_600
export const invitationLifeSeconds = 48 * 3_600
/** A code has six digits. */
export const otpLifeSeconds = 10 * 60
export const mostOtpTries = 3
/** From the way to a provider to the way back. */
export const challengeLifeSeconds = 15 * 60
export const verifierLifeSeconds = 120
