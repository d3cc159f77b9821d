// Rows to have: of about a kilobyte each, short enough to be stored as they are, so that a megabyte of them is one of log as well.

const rowsInAMegabyte = 1000
const megabytesInABatch = 256

export async function fill(
  client: { query(text: string): Promise<unknown> },
  megabytes: number,
  say: (text: string) => void,
): Promise<void> {
  await client.query('create table filling (id bigint, filling text)')
  for (let done = 0; done < megabytes; done += megabytesInABatch) {
    say(`filling: ${done} of ${megabytes} MB`)
    const rows = Math.min(megabytesInABatch, megabytes - done) * rowsInAMegabyte
    await client.query(
      `insert into filling select id, left(repeat(md5(id::text), 31), 980) from generate_series(1, ${rows}) as id`,
    )
  }
}
