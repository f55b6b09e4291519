// Two peers that were introduced connect directly: both punch, both dial, and of the connections that come up both keep the
// same one.

import { Buffer } from 'node:buffer';
import { setTimeout as delay } from 'node:timers/promises';
import { QUICClient, events } from 'polykey-quic';

/** Milliseconds that a dial may take longer than the other side's. */
const PATIENCE_MS = 1_000;

/**
 * Resolves to `{ connection, isDialled, punch }`: the connection that both sides keep, whether we dialled it, and how the way
 * was opened.
 *
 * Both dials may succeed. `connectionIdShared` is the same at both ends of a connection: the lower one wins, and each side
 * closes the other connection. Whoever has accepted a connection gives up its own dial if that takes much longer, so that both
 * sides choose from the same ones.
 *
 * @param options.socket - the `QUICSocket` on which we listen
 * @param options.server - the `QUICServer` on it
 * @param options.introduction - what the rendezvous said: `{ host, port, nonce }`
 * @param options.isPeer - whether a connection is one with the peer: looks at its certificate
 * @param options.onConnection - called with each connection at once, to listen to it; one of two is closed soon
 * @param options.config - settings of the dial
 * @param options.timeout - milliseconds for the punch
 * @param options.signal - gives it up
 */
export async function meet(options) {
  const { socket, server, introduction, isPeer, onConnection = () => undefined } = options;
  const accepted = acceptFrom(server, isPeer, onConnection);
  const nonce = Buffer.from(introduction.nonce, 'hex');
  try {
    const { timeout, signal } = options;
    const punch = await socket.punch(introduction.host, introduction.port, { nonce, timeout, signal });
    const dialled = dialTo(punch, options, accepted.connection);
    return { ...(await choose(dialled, accepted.connection)), punch };
  } finally {
    accepted.stop();
  }
}

/** Accepted connections of earlier meetings. */
const known = new WeakSet();

/**
 * The first connection in which the peer dials us. It may be there already: sockets answer punches by themselves, so that a
 * peer which has heard of the introduction before us gets through.
 */
function acceptFrom(server, isPeer, onConnection) {
  let listener;
  const connection = new Promise((resolve) => {
    listener = ({ detail }) => {
      if (known.has(detail) || !isPeer(detail)) return;
      known.add(detail);
      onConnection(detail);
      resolve(detail);
    };
    server.addEventListener(events.EventQUICServerConnection.name, listener);
    for (const detail of server.connections) listener({ detail });
  });
  return { connection, stop: () => server.removeEventListener(events.EventQUICServerConnection.name, listener) };
}

/** Dials the peer; gives up when the peer's own dial has been there for a while. Resolves to nothing then. */
async function dialTo({ host, port }, { socket, config, onConnection = () => undefined, signal }, accepted) {
  const late = new AbortController();
  let isOver = false;
  void accepted.then(async () => {
    await delay(PATIENCE_MS, undefined, { ref: false });
    if (!isOver) late.abort(new Error('the peer was faster'));
  });
  try {
    const signals = signal === undefined ? [late.signal] : [late.signal, signal];
    const client = await QUICClient.createQUICClient(
      { host, port, socket, config },
      { signal: AbortSignal.any(signals) },
    );
    onConnection(client.connection);
    // We trust the peer; now it has judged us, too.
    await client.connection.confirmed;
    return client.connection;
  } catch (error) {
    if (late.signal.aborted) return undefined;
    throw error;
  } finally {
    isOver = true;
  }
}

async function choose(dialled, accepted) {
  const own = await dialled;
  if (own === undefined) return { connection: await accepted, isDialled: false };
  // The other side gives up its dial after its patience: after twice of it none can come.
  const other = await Promise.race([accepted, delay(2 * PATIENCE_MS, undefined, { ref: false })]);
  if (other === undefined) return { connection: own, isDialled: true };
  const isDialled = Buffer.compare(own.connectionIdShared, other.connectionIdShared) < 0;
  await (isDialled ? other : own).stop();
  return { connection: isDialled ? own : other, isDialled };
}
