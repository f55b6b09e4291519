// Moves one file over one stream: a header, then the bytes; back comes the hash of what arrived. Never more than some chunks
// are in memory: reading the file waits for the stream, reading the stream for the disk.

import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { encode, decode, readMessage } from '../../rendezvous/messages.mjs';

const CHUNK_BYTES = 256 * 1024;

/** The header is JSON behind its length, 2 bytes. */
const LENGTH_BYTES = 2;

/** Sends a file. Resolves to what was sent, how long it took until the answer was there, and the answer: `{ sha256, bytes }`. */
export async function sendFile(stream, file) {
  const start = performance.now();
  const handle = await fs.promises.open(file);
  const { size } = await handle.stat();
  const header = encode({ name: path.basename(file), size });
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt16BE(header.length);
  await stream.write(Buffer.concat([length, header]));
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of handle.createReadStream({ highWaterMark: CHUNK_BYTES })) {
    hash.update(chunk);
    bytes += chunk.length;
    await stream.write(chunk);
  }
  await stream.end();
  const answer = await readMessage(stream);
  return { bytes, sha256: hash.digest('hex'), ms: performance.now() - start, answer };
}

/** Takes a file in and stores it in a folder, then answers with its hash. Resolves to `{ file, bytes, sha256 }`. */
export async function receiveFile(stream, folder, onProgress) {
  const chunks = stream[Symbol.asyncIterator]();
  const { header, rest } = await readHeader(chunks);
  const file = path.join(folder, safeName(header.name));
  // Exclusive: nothing that is there is overwritten.
  const handle = await fs.promises.open(file, 'wx');
  try {
    const stored = await store(handle, rest, chunks, (bytes) => onProgress({ bytes, size: header.size }));
    if (stored.bytes !== header.size) throw new Error(`${header.size} bytes were announced, ${stored.bytes} came`);
    await stream.end(encode(stored));
    return { file, ...stored };
  } catch (error) {
    await fs.promises.rm(file);
    throw error;
  } finally {
    await handle.close();
  }
}

async function store(handle, first, chunks, onProgress) {
  const hash = createHash('sha256');
  let bytes = 0;
  for (let chunk = first; chunk !== undefined; chunk = await nextOf(chunks)) {
    hash.update(chunk);
    bytes += chunk.length;
    await handle.writeFile(chunk);
    onProgress(bytes);
  }
  return { bytes, sha256: hash.digest('hex') };
}

async function readHeader(chunks) {
  let buffer = Buffer.alloc(0);
  let end = LENGTH_BYTES;
  while (buffer.length < end) {
    const chunk = await nextOf(chunks);
    if (chunk === undefined) throw new Error('the stream ended within the header');
    buffer = Buffer.concat([buffer, chunk]);
    if (buffer.length >= LENGTH_BYTES) end = LENGTH_BYTES + buffer.readUInt16BE();
  }
  return { header: decode(buffer.subarray(LENGTH_BYTES, end)), rest: buffer.subarray(end) };
}

async function nextOf(chunks) {
  const { done, value } = await chunks.next();
  return done ? undefined : value;
}

/** The peer chooses the file's name, never its folder. */
function safeName(name) {
  const base = typeof name === 'string' ? path.basename(name) : '';
  if (base === '' || base === '.' || base === '..' || base.includes('\0'))
    throw new Error('the file has no usable name');
  return base;
}
