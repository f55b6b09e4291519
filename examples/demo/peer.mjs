// A peer: one UDP socket on which it listens, talks to the rendezvous, punches, and dials. It knows others by the
// fingerprints of their keys, which their owners have exchanged by other means.
//
//   node peer.mjs --rendezvous HOST:PORT --rendezvous-id FINGERPRINT [--listen HOST:PORT] [--name NAME] [--claim FINGERPRINT]

import { Buffer } from 'node:buffer';
import { parseArgs } from 'node:util';
import { QUICClient, QUICServer, QUICSocket, errors, events } from 'polykey-quic';
import { RendezvousClient } from '../rendezvous/client.mjs';
import { meet } from '../rendezvous/meet.mjs';
import { fail, report, takeCommands } from './lib/actor.mjs';
import { formatAddress, parseAddress } from './lib/address.mjs';
import { createIdentity, idOf, trustOnly } from './lib/identity.mjs';
import { FILE_PROTOCOL, KEEP_ALIVE, PUNCH_MS, RENDEZVOUS_PROTOCOL, STOP_MS } from './lib/settings.mjs';
import { receiveFile, sendFile } from './lib/transfer.mjs';

const { values: options } = parseArgs({
  options: {
    rendezvous: { type: 'string' },
    'rendezvous-id': { type: 'string' },
    listen: { type: 'string', default: '127.0.0.1:0' },
    name: { type: 'string', default: 'peer' },
    /** Registers under an identity whose key it doesn't have: an impostor. */
    claim: { type: 'string' },
  },
});

const PROGRESS_MS = 50;

const identity = createIdentity(options.name);
const socket = new QUICSocket();
/** Whom to let in, and what to do with what they send: `{ from, folder }`. Nobody else gets through the handshake. */
let expected;
/** Gives up what is under way to the other peer. */
const meeting = new AbortController();
let toRendezvous;
let rendezvous;
const server = new QUICServer({
  socket,
  config: { ...fileSettings(() => expected?.from), verifyPeer: true },
});

takeCommands({ send, receive, stop });
try {
  await socket.start(parseAddress(options.listen));
  await server.start();
  report('listening', { id: identity.id, address: formatAddress(socket) });
  await register();
} catch (error) {
  fail(error);
}

/** Registers at the rendezvous, from the socket on which we listen: so it sees the address at which others may reach us. */
async function register() {
  toRendezvous = await QUICClient.createQUICClient({
    ...parseAddress(options.rendezvous),
    socket,
    config: {
      ...credentials(),
      verifyCallback: trustOnly(() => options['rendezvous-id']),
      applicationProtos: [RENDEZVOUS_PROTOCOL],
      ...KEEP_ALIVE,
    },
  });
  rendezvous = new RendezvousClient(toRendezvous.connection);
  const observed = await rendezvous.register(options.claim ?? identity.id);
  report('registered', { observed: formatAddress(observed) });
}

/** Command: finds a peer, connects to it, and sends it a file. */
async function send({ to, file }) {
  // It dials us as well.
  expected = { from: to };
  const introduction = await rendezvous.find(to);
  const connection = await connectTo(introduction);
  if (connection === undefined) return;
  const { answer, ...sent } = await sendFile(connection.newStream(), file);
  report('sent', {
    ...sent,
    answer,
    dialled: formatAddress({ host: connection.remoteHost, port: connection.remotePort }),
  });
  await connection.stop({ force: false, timeout: STOP_MS });
}

/** Command: connects to a peer, which is let in by nobody else, and stores the file that it sends in a folder. */
async function receive({ from, folder }) {
  expected = { from, folder };
  const introduction = await rendezvous.introduction(from);
  if (options.claim === undefined) await connectTo(introduction);
  else await breakIn(introduction);
}

/** What somebody who waits in vain as an impostor may try as well: to dial, and so to get in by the other door. */
async function breakIn({ id, host, port, nonce }) {
  try {
    const config = fileSettings(() => id);
    const opened = await socket.punch(host, port, { nonce: Buffer.from(nonce, 'hex'), timeout: PUNCH_MS });
    const client = await QUICClient.createQUICClient({ host: opened.host, port: opened.port, socket, config });
    await client.connection.confirmed;
    report('gotIn');
  } catch (error) {
    if (!(error instanceof errors.ErrorQUICConnectionPeerTLS)) throw error;
    report('keptOut', { alert: error.data.errorCode });
  }
}

/** Connects to a peer directly, and each makes sure who the other is. Resolves to nothing if it is somebody else. */
async function connectTo(introduction) {
  const { id } = introduction;
  const start = performance.now();
  try {
    const { connection, isDialled, punch } = await meet({
      socket,
      server,
      introduction,
      isPeer: (accepted) => idOf(accepted.getRemoteCertsChain()[0]) === id,
      onConnection: serve,
      config: fileSettings(() => id),
      timeout: PUNCH_MS,
      signal: meeting.signal,
    });
    const sent = punch.tried.reduce((sum, attempt) => sum + attempt.sent, 0);
    report('punched', { sent, ms: punch.ms });
    report('connected', { id, isDialled, connectMs: performance.now() - start });
    return connection;
  } catch (error) {
    if (meeting.signal.aborted) return undefined;
    if (error instanceof errors.ErrorQUICConnectionLocalTLS) {
      report('refused', { alert: error.data.errorCode });
      return undefined;
    }
    if (!(error instanceof errors.ErrorQUICSocketPunchTimeout)) throw error;
    const where = formatAddress(introduction);
    const message = `no punch packet came from ${where} within ${PUNCH_MS / 1000} s: something in between drops them`;
    throw new Error(message, { cause: error });
  }
}

/** Takes the file that comes over a connection with the one who is expected. */
function serve(connection) {
  connection.addEventListener(events.EventQUICConnectionStream.name, async ({ detail: stream }) => {
    try {
      report('received', await receiveFile(stream, expected.folder, rarely(PROGRESS_MS, reportProgress)));
    } catch (error) {
      fail(error);
    }
  });
}

function reportProgress(progress) {
  report('progress', progress);
}

/** Command: ends everything; the process then ends by itself. */
async function stop() {
  meeting.abort();
  await server.stop({ force: false, timeout: STOP_MS });
  await toRendezvous?.destroy();
  await socket.stop({ force: true });
}

function credentials() {
  return { key: identity.key, cert: identity.cert };
}

/** The settings of connections that carry files, the same whether dialled or accepted. */
function fileSettings(wanted) {
  return {
    ...credentials(),
    verifyCallback: trustOnly(wanted),
    applicationProtos: [FILE_PROTOCOL],
    ...KEEP_ALIVE,
  };
}

/** Calls through at most once in so many milliseconds. */
function rarely(ms, callback) {
  let next = 0;
  return (value) => {
    const time = performance.now();
    if (time < next) return;
    next = time + ms;
    callback(value);
  };
}
