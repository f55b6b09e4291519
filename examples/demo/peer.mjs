// A peer: one UDP socket on which it listens, talks to the rendezvous, punches, and dials. It knows others by the
// fingerprints of their keys, which their owners have exchanged by other means.
//
//   node peer.mjs --rendezvous HOST:PORT --rendezvous-id FINGERPRINT [--listen HOST:PORT] [--name NAME] [--claim FINGERPRINT]

import { Buffer } from 'node:buffer';
import { EventEmitter, once } from 'node:events';
import { parseArgs } from 'node:util';
import { QUICClient, QUICServer, QUICSocket, errors, events } from 'polykey-quic';
import { fail, report, takeCommands } from './lib/actor.mjs';
import { formatAddress, parseAddress } from './lib/address.mjs';
import { createIdentity, idOf, trustOnly } from './lib/identity.mjs';
import { introductions } from './lib/introductions.mjs';
import { request } from './lib/messages.mjs';
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
/** Gives up what is being punched. */
const punching = new AbortController();
let rendezvous;
/** Tells to whom the rendezvous has introduced us. */
const introduced = new EventEmitter();
const server = new QUICServer({
  socket,
  config: { ...fileSettings(() => expected?.from), verifyPeer: true },
});

takeCommands({ send, receive, stop });
server.addEventListener(events.EventQUICServerConnection.name, ({ detail: connection }) => serve(connection));
try {
  await socket.start(parseAddress(options.listen));
  await server.start();
  report('listening', { id: identity.id, address: formatAddress(socket) });
  rendezvous = await register();
} catch (error) {
  fail(error);
}

/** Registers at the rendezvous, from the socket on which we listen: so it sees the address at which others may reach us. */
async function register() {
  const client = await QUICClient.createQUICClient({
    ...parseAddress(options.rendezvous),
    socket,
    config: {
      ...credentials(),
      verifyCallback: trustOnly(() => options['rendezvous-id']),
      applicationProtos: [RENDEZVOUS_PROTOCOL],
      ...KEEP_ALIVE,
    },
  });
  void listenToIntroductions(client.connection);
  const { observed } = await ask(client.connection, { type: 'register', as: options.claim ?? identity.id });
  report('registered', { observed: formatAddress(observed) });
  return client;
}

async function listenToIntroductions(connection) {
  for await (const introduction of introductions(connection)) introduced.emit(eventOf(introduction.id), introduction);
}

/** The rendezvous chooses the identity: as it is it could be `error`, an event that ends processes. */
function eventOf(id) {
  return `introduced to ${id}`;
}

async function ask(connection, message) {
  const { problem, ...answer } = await request(connection, message);
  if (problem !== undefined) throw new Error(`the rendezvous refused: ${problem}`);
  return answer;
}

/** Command: finds a peer, dials it, and sends it a file. */
async function send({ to, file }) {
  const isIntroduced = once(introduced, eventOf(to));
  await ask(rendezvous.connection, { type: 'find', id: to });
  const [introduction] = await isIntroduced;
  const address = await punchThrough(introduction);
  const client = await dial(to, address);
  if (client === undefined) return;
  const { answer, ...sent } = await sendFile(client.connection.newStream(), file);
  report('sent', { ...sent, answer, dialled: formatAddress(address) });
  await client.destroy({ force: false, timeout: STOP_MS });
}

/** Command: lets a peer in, and stores the file that it sends in a folder. */
async function receive({ from, folder }) {
  expected = { from, folder };
  const [introduction] = await once(introduced, eventOf(from));
  const opened = punchThrough(introduction);
  if (options.claim === undefined) await opened;
  else await breakIn(introduction, await opened);
}

/** What somebody who waits in vain as an impostor may try as well: to dial, and so to get in by the other door. */
async function breakIn({ id }, address) {
  try {
    const client = await QUICClient.createQUICClient({ ...address, socket, config: fileSettings(() => id) });
    await client.connection.confirmed;
    report('gotIn');
  } catch (error) {
    if (!(error instanceof errors.ErrorQUICConnectionPeerTLS)) throw error;
    report('keptOut', { alert: error.data.errorCode });
  }
}

/**
 * Opens the way to the other, who does the same. Resolves to the address from which the other was heard: behind some NATs it is
 * another port than the one the rendezvous saw. The nonce says that the path works, not who is there: for that there are
 * certificates.
 */
async function punchThrough({ host, port, nonce }) {
  const { signal } = punching;
  try {
    const opened = await socket.punch(host, port, { nonce: Buffer.from(nonce, 'hex'), timeout: PUNCH_MS, signal });
    reportPunches(opened.tried, opened.ms);
    return { host: opened.host, port: opened.port };
  } catch (error) {
    if (error instanceof errors.ErrorQUICSocketPunchAborted) {
      reportPunches(error.data.tried);
      return undefined;
    }
    if (!(error instanceof errors.ErrorQUICSocketPunchTimeout)) throw error;
    const where = formatAddress({ host, port });
    const message = `no punch packet came from ${where} within ${PUNCH_MS / 1000} s: something in between drops them`;
    throw new Error(message, { cause: error });
  }
}

/** `ms` is missing where the other had dialled before we knew that the way is open. */
function reportPunches(tried, ms) {
  const sent = tried.reduce((sum, attempt) => sum + attempt.sent, 0);
  report('punched', { sent, ms });
}

/** Dials from the socket on which we listen. Resolves to nothing if whoever answers isn't the one who is wanted. */
async function dial(id, address) {
  const start = performance.now();
  try {
    const client = await QUICClient.createQUICClient({ ...address, socket, config: fileSettings(() => id) });
    const handshakeMs = performance.now() - start;
    // We trust the other one; now it has judged us, too.
    await client.connection.confirmed;
    report('connected', { id, handshakeMs });
    return client;
  } catch (error) {
    if (!(error instanceof errors.ErrorQUICConnectionLocalTLS)) throw error;
    report('refused', { alert: error.data.errorCode });
    return undefined;
  }
}

/** Somebody has dialled us, and proved to be the one who is expected. */
function serve(connection) {
  punching.abort();
  report('accepted', { id: idOf(connection.getRemoteCertsChain()[0]) });
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
  punching.abort();
  await server.stop({ force: false, timeout: STOP_MS });
  await rendezvous?.destroy();
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
