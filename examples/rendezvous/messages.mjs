// What peers and the rendezvous say to each other: JSON, one message to a datagram, or one each way on a stream.

import { Buffer } from 'node:buffer';

/** A stranger may send anything: longer messages are not read. */
const MAX_BYTES = 4096;

export function encode(message) {
  return Buffer.from(JSON.stringify(message));
}

/** The object that some bytes hold; throws if they don't. */
export function decode(bytes) {
  const message = JSON.parse(Buffer.from(bytes).toString('utf8'));
  if (typeof message !== 'object' || message === null) throw new TypeError('a message is an object');
  return message;
}

/** Asks on a stream of its own; resolves to the answer. */
export async function request(connection, message) {
  const stream = connection.newStream();
  await stream.end(encode(message));
  return readMessage(stream);
}

/** Reads a stream to its end, which is one message. */
export async function readMessage(stream) {
  const chunks = [];
  let length = 0;
  for await (const chunk of stream) {
    length += chunk.length;
    if (length > MAX_BYTES) throw new RangeError('the message is too long');
    chunks.push(chunk);
  }
  return decode(Buffer.concat(chunks));
}
