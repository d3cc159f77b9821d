/** The peer does not speak the protocol. The only thing that readers of bytes from a stranger throw; the connection is dropped. */
export class ProtocolError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'ProtocolError'
  }
}
