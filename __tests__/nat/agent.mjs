// A process inside a network namespace that does what a test tells it: one line of JSON for each request and each answer.

import { Buffer } from 'node:buffer';
import { createHash, randomBytes } from 'node:crypto';
import process from 'node:process';
import readline from 'node:readline';
import { QUICClient, QUICServer, QUICSocket, events } from 'polykey-quic';
import { createIdentity, idOf, trustAnyKey, trustOnly } from '../../examples/demo/lib/identity.mjs';

const CHUNK_BYTES = 32 * 1024;

const identity = createIdentity('agent');
/** What the requests left: sockets with their servers by number, and connections. */
const ends = [];

const commands = {
  identity: () => identity.id,
  open,
  observe,
  hear,
  send,
  punch,
  dial,
  echo,
  upload,
  download,
  datagram,
  stats,
  close,
};

const lines = readline.createInterface({ input: process.stdin });
lines.on('line', (line) => void answer(JSON.parse(line)));
// Never outlives the test.
lines.on('close', () => process.exit(0));

async function answer({ id, command, details }) {
  try {
    const value = await commands[command](details);
    process.stdout.write(`${JSON.stringify({ id, value })}\n`);
  } catch (error) {
    const { message, code, data, stack } = error;
    process.stdout.write(`${JSON.stringify({ id, error: { message, code, data, stack } })}\n`);
  }
}

/** A socket that listens. */
async function open({ host, config = {}, answersObserve, sendBufferSize, transport }) {
  const socket = new QUICSocket({ answersObserve, sendBufferSize, transport });
  await socket.start({ host });
  const settings = { key: identity.key, cert: identity.cert, applicationProtos: ['nat-test'], ...config };
  const server = new QUICServer({
    socket,
    config: { ...settings, verifyPeer: true, verifyCallback: trustAnyKey() },
  });
  await server.start();
  const end = { socket, server, settings, strays: [], connection: undefined };
  server.addEventListener(events.EventQUICServerConnection.name, ({ detail: connection }) => serve(end, connection));
  socket.addEventListener(events.EventQUICSocketDatagram.name, ({ detail }) => end.strays.push(detail));
  return { end: ends.push(end) - 1, port: socket.port };
}

/** Echoes datagrams and streams, sends as much as is asked for, or takes what comes and answers with its hash. */
function serve(end, connection) {
  end.connection = connection;
  const { EventQUICConnectionDatagram } = events;
  connection.addEventListener(EventQUICConnectionDatagram.name, ({ detail }) => connection.sendDatagram(detail));
  serveStreams(connection);
}

function serveStreams(connection) {
  connection.addEventListener(events.EventQUICConnectionStream.name, async ({ detail: stream }) => {
    const { line, rest } = await readLine(stream);
    const order = JSON.parse(line.toString());
    if (order.what === 'echo') await stream.end(line);
    else if (order.what === 'upload') await stream.end(Buffer.from(await takeIn(stream, rest)));
    else await giveOut(stream, order.bytes);
  });
}

/** The first line of a stream, and what came with it. */
async function readLine(stream) {
  let all = Buffer.alloc(0);
  for (let at = -1; ; at = all.indexOf('\n')) {
    if (at >= 0) return { line: all.subarray(0, at + 1), rest: all.subarray(at + 1) };
    const chunk = await stream.read();
    if (chunk === null) throw new Error('the stream ended within its first line');
    all = Buffer.concat([all, chunk]);
  }
}

function toLine(order) {
  return Buffer.from(`${JSON.stringify(order)}\n`);
}

async function takeIn(stream, first) {
  const hash = createHash('sha256').update(first);
  for await (const chunk of stream) hash.update(chunk);
  return hash.digest('hex');
}

/** Random bytes, then their hash, 32 bytes. */
async function giveOut(stream, bytes) {
  const hash = createHash('sha256');
  for (let left = bytes; left > 0; left -= CHUNK_BYTES) {
    const chunk = randomBytes(Math.min(left, CHUNK_BYTES));
    hash.update(chunk);
    await stream.write(chunk);
  }
  await stream.end(hash.digest());
}

async function observe({ end, host, port, timeout }) {
  return ends[end].socket.observe(host, port, { timeout });
}

/** Resolves to the texts of the stray datagrams so far, after an own datagram has made the round. */
async function hear({ end }) {
  const { socket, strays } = ends[end];
  await socket.punch('127.0.0.1', socket.port);
  return strays.map(({ data }) => Buffer.from(data).toString());
}

/** Sends one datagram: a text, or so many bytes. */
async function send({ end, text, bytes, host, port }) {
  await ends[end].socket.send(text ?? Buffer.alloc(bytes), port, host);
}

async function punch({ end, targets, nonce, timeout }) {
  return ends[end].socket.punch(targets, { nonce: Buffer.from(nonce, 'hex'), timeout });
}

/** Dials, from the socket on which it listens, the peer with an identity. */
async function dial({ end, host, port, id, config = {} }) {
  const { socket, settings } = ends[end];
  const client = await QUICClient.createQUICClient({
    host,
    port,
    socket,
    config: { ...settings, verifyCallback: trustOnly(() => id), ...config },
  });
  await client.connection.confirmed;
  ends[end].connection = client.connection;
  serveStreams(client.connection);
  return idOf(client.connection.getRemoteCertsChain()[0]);
}

async function echo({ end }) {
  const stream = ends[end].connection.newStream();
  const order = toLine({ what: 'echo' });
  await stream.end(order);
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return order.equals(Buffer.concat(chunks));
}

/** Sends so many bytes, or, without a number, until `stopped` is set; whether what arrived has the same hash. */
async function upload({ end, bytes, pauseMs = 0, pauseAt }) {
  const stream = ends[end].connection.newStream();
  await stream.write(toLine({ what: 'upload' }));
  const hash = createHash('sha256');
  let sent = 0;
  while (sent < bytes) {
    const chunk = randomBytes(Math.min(bytes - sent, CHUNK_BYTES));
    hash.update(chunk);
    await stream.write(chunk);
    sent += chunk.length;
    if (pauseAt !== undefined && sent >= pauseAt) {
      pauseAt = undefined;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
  await stream.end();
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return { sent, isSame: Buffer.concat(chunks).toString() === hash.digest('hex') };
}

async function download({ end, bytes }) {
  const stream = ends[end].connection.newStream();
  await stream.end(toLine({ what: 'download', bytes }));
  let tail = Buffer.alloc(0);
  let received = 0;
  const hash = createHash('sha256');
  for await (const chunk of stream) {
    received += chunk.length;
    const all = Buffer.concat([tail, chunk]);
    hash.update(all.subarray(0, Math.max(0, all.length - 32)));
    tail = all.subarray(Math.max(0, all.length - 32));
  }
  return { received: received - 32, isSame: tail.equals(hash.digest()) };
}

/** Sends the largest datagram that fits, until it comes back; its size. */
async function datagram({ end }) {
  const { connection } = ends[end];
  const size = connection.maxDatagramSize;
  const echoed = (async () => {
    for await (const { length } of connection.datagrams) if (length === size) return;
  })();
  let isBack = false;
  void echoed.then(() => (isBack = true));
  while (!isBack) {
    if (!connection.sendDatagram(randomBytes(size))) throw new Error(`${size} bytes were refused`);
    await Promise.race([echoed, new Promise((resolve) => setTimeout(resolve, 500))]);
  }
  return size;
}

function stats({ end }) {
  const { socket, connection } = ends[end];
  const remote = connection && { host: connection.remoteHost, port: connection.remotePort };
  const maxDatagramSize = connection?.maxDatagramSize;
  return { socket: socket.stats, connection: connection?.stats, remote, maxDatagramSize };
}

async function close({ end }) {
  const { server, socket } = ends[end];
  await server.stop();
  await socket.stop({ force: true });
}
