// A connection that moves to another socket, and one that stays.

import { createHash, randomBytes } from 'node:crypto';
import { QUICSocket, errors, events } from '../lib';
import type { PathChange, QUICConnection } from '../lib';
import type { Pair } from './helpers/pair';
import { createPair, echo, openStream, readAll, startSocket } from './helpers/pair';

const free = { server: { disableActiveMigration: false }, client: { disableActiveMigration: false } };

/** What happens to the paths of a connection, as it is told. */
function recordPaths(connection: QUICConnection): PathChange[] {
  const changes: PathChange[] = [];
  connection.addEventListener(events.EventQUICConnectionPath.name, ({ detail }: events.EventQUICConnectionPath) =>
    changes.push(detail),
  );
  return changes;
}

async function failureOf(p: Promise<unknown>): Promise<unknown> {
  return p.then(
    () => Promise.reject(new Error('expected a failure')),
    (error: unknown) => error,
  );
}

test('a connection moves to another socket in the middle of a transfer, and its streams notice nothing', async () => {
  await using socket = await startSocket();
  await using pair = await createPair(free);
  echo(pair.far);
  const [near, far] = [recordPaths(pair.near), recordPaths(pair.far)];
  const sent = randomBytes(3_000_000);
  const stream = pair.near.newStream();
  const received = readAll(stream);
  const half = sent.length / 2;
  await stream.write(sent.subarray(0, half));
  const oldPort = pair.near.localPort;
  const moved = pair.near.migrate({ socket });
  await stream.write(sent.subarray(half));
  await stream.end();
  await moved;
  expect((await received).equals(sent)).toBe(true);
  expect(pair.near.localPort).toBe(socket.port);
  expect(pair.client.localPort).toBe(socket.port);
  expect(pair.far.remotePort).toBe(socket.port);
  const here = { host: '127.0.0.1', port: socket.port };
  expect(near.map(({ what, local }) => [what, local])).toEqual([
    ['validated', here],
    ['migrated', here],
  ]);
  expect(far.map(({ what, peer }) => [what, peer])).toContainEqual(['migrated', here]);
  expect(pair.near.stats.paths.filter((path) => path.active).map((path) => path.local.port)).toEqual([socket.port]);
  // The client's own socket was left behind, and is closed: its port is free.
  const other = new QUICSocket();
  await other.start({ host: '127.0.0.1', port: oldPort });
  await other.stop();
  expect(pair.client.isSocketShared).toBe(true);
});

test('a connection can move again and again, and back', async () => {
  await using one = await startSocket();
  await using other = await startSocket();
  await using pair = await createPair({ ...free, clientSocket: one });
  echo(pair.far);
  for (const socket of [other, one, other, one]) {
    await pair.near.migrate({ socket });
    const stream = pair.near.newStream();
    await stream.end(Buffer.from('still here'));
    expect((await readAll(stream)).toString()).toBe('still here');
    expect(pair.far.remotePort).toBe(socket.port);
  }
  expect([...one.driver.connections].length).toBe(1);
  expect([...other.driver.connections].length).toBe(0);
});

test('a connection moves back to a socket it has been on before, after many', async () => {
  await using pair = await createPair(free);
  echo(pair.far);
  const sockets = await Promise.all(Array.from({ length: 8 }, () => startSocket()));
  // The paths are used up by the first seven: the last two went over paths that were used again.
  for (const socket of [...sockets, sockets[6], sockets[0], sockets[6]]) {
    await pair.near.migrate({ socket });
    const stream = pair.near.newStream();
    await stream.end(Buffer.from('still here'));
    expect((await readAll(stream)).toString()).toBe('still here');
    expect(pair.far.remotePort).toBe(socket.port);
    const ports = pair.near.stats.paths.map(({ local }) => local.port);
    expect(new Set(ports).size).toBe(ports.length);
  }
  await pair.near.stop();
  await Promise.all(sockets.map((socket) => socket.stop()));
});

test('a connection moves to 20 new sockets, one after the other, in one transfer each way', async () => {
  await using pair = await createPair(free);
  echo(pair.far);
  const [hash, echoed] = [createHash('sha256'), createHash('sha256')];
  const stream = pair.near.newStream();
  const received = (async () => {
    for await (const chunk of stream) echoed.update(chunk);
  })();
  const done = new AbortController();
  const sent = (async () => {
    while (!done.signal.aborted) {
      const chunk = randomBytes(64 * 1024);
      hash.update(chunk);
      await stream.write(chunk);
    }
    await stream.end();
  })();
  const told = recordPaths(pair.far);
  const sockets: QUICSocket[] = [];
  const ports: number[] = [];
  for (let index = 0; index < 20; index++) {
    const socket = await startSocket();
    sockets.push(socket);
    ports.push(socket.port);
    await pair.near.migrate({ socket });
    expect(pair.near.stats.paths.filter((path) => path.active).map((path) => path.local.port)).toEqual([socket.port]);
    // The network that was left is gone.
    await sockets.at(-2)?.stop();
  }
  done.abort();
  await Promise.all([sent, received]);
  expect(echoed.digest('hex')).toBe(hash.digest('hex'));
  const last = sockets.at(-1)!;
  expect(pair.far.remotePort).toBe(last.port);
  expect(told.filter(({ what }) => what === 'migrated').map(({ peer }) => peer.port)).toEqual(ports);
  await pair.near.stop();
  await last.stop({ force: true });
});

test('a connection goes back to where it was when nobody answers over the new path', async () => {
  const lost = new QUICSocket({
    openTransport: async (options) => ({
      address: { host: options.host, port: 9 as never, type: 'ipv4' },
      stats: { recvBufferSize: 0, sendBufferSize: 0, datagramsReceived: 0, datagramsSent: 0, sendsFailed: 0 },
      start: () => undefined,
      receive: () => 0,
      flush: (endpoint) => {
        const [bytes, layout] = [Buffer.alloc(65_536), new Int32Array(96)];
        while (endpoint.transmit(bytes, layout) > 0);
        return 'done';
      },
      sendRaw: async () => undefined,
      setReferenced: () => undefined,
      close: async () => undefined,
    }),
  });
  await lost.start({ host: '127.0.0.1' });
  await using pair = await createPair(free);
  echo(pair.far);
  const port = pair.near.localPort;
  expect(await failureOf(pair.near.migrate({ socket: lost, timeout: 200 }))).toBeInstanceOf(
    errors.ErrorQUICConnectionMigration,
  );
  const reason = new Error('enough');
  const controller = new AbortController();
  const given = failureOf(pair.near.migrate({ socket: lost, signal: controller.signal }));
  setImmediate(() => controller.abort(reason));
  expect(await given).toBe(reason);
  expect(pair.near.localPort).toBe(port);
  const stream = pair.near.newStream();
  await stream.end(Buffer.from('still here'));
  expect((await readAll(stream)).toString()).toBe('still here');
  await lost.stop();
});

describe('is refused, and the connection stays where it is', () => {
  const refused: [what: string, config: Parameters<typeof createPair>[0], message: RegExp][] = [
    ['by our own setting', { server: free.server }, /disableActiveMigration/],
    ["by the server's wish", { client: free.client }, /disabled active migration/],
  ];

  test.each(refused)('%s', async (_, config, message) => {
    await using socket = await startSocket();
    await using pair = await createPair(config);
    const error = (await failureOf(pair.near.migrate({ socket }))) as Error;
    expect(error).toBeInstanceOf(errors.ErrorQUICConnectionMigration);
    expect(error.message).toMatch(message);
    const [ours, theirs] = await openStream(pair.near, pair.far);
    await ours.end();
    expect((await readAll(theirs)).toString()).toBe('x');
  });

  test('on the side that answered, to a socket that is not started, to the same one, and while it moves', async () => {
    await using socket = await startSocket();
    await using pair = await createPair({ ...free, clientSocket: socket });
    await using other = await startSocket();
    const stopped = new QUICSocket();
    for (const p of [
      pair.far.migrate({ socket }),
      pair.near.migrate({ socket: stopped }),
      pair.near.migrate({ socket }),
    ]) {
      expect(await failureOf(p)).toBeInstanceOf(errors.ErrorQUICConnectionMigration);
    }
    const moving = pair.near.migrate({ socket: other });
    expect(await failureOf(pair.near.migrate({ socket: other }))).toBeInstanceOf(errors.ErrorQUICConnectionMigration);
    await moving;
    await pair.near.stop();
    expect(await failureOf(pair.near.migrate({ socket }))).toBeInstanceOf(errors.ErrorQUICConnectionNotRunning);
  });
});

test.each<[string, (pair: Pair) => unknown, unknown]>([
  ['us', (pair) => pair.near.stop(), errors.ErrorQUICConnectionLocal],
  ['the client', (pair) => pair.client.destroy(), errors.ErrorQUICConnectionLocal],
  ['the peer', (pair) => pair.far.stop(), errors.ErrorQUICConnectionPeer],
])('a connection that is ended by %s while it moves rejects the move', async (_, end, kind) => {
  await using socket = await startSocket();
  await using pair = await createPair(free);
  const moving = failureOf(pair.near.migrate({ socket, timeout: Infinity }));
  await end(pair);
  expect(await moving).toBeInstanceOf(kind);
  await pair.client.closedP;
});

test('a graceful stop is over though the connection moves meanwhile', async () => {
  await using socket = await startSocket();
  await using pair = await createPair(free);
  const [ours, theirs] = await openStream(pair.near, pair.far);
  const moving = pair.near.migrate({ socket });
  const stopped = pair.near.stop({ force: false });
  await moving;
  await Promise.all([ours.end(), theirs.end(), readAll(ours), readAll(theirs)]);
  await stopped;
});

test('a connection does not move to a socket that is stopped before it could', async () => {
  const socket = await startSocket();
  await using pair = await createPair(free);
  echo(pair.far);
  const moving = failureOf(pair.near.migrate({ socket, timeout: Infinity }));
  await socket.stop();
  expect(await moving).toBeInstanceOf(errors.ErrorQUICConnectionMigration);
  const stream = pair.near.newStream();
  await stream.end(Buffer.from('still here'));
  expect((await readAll(stream)).toString()).toBe('still here');
});

test('the socket that a connection is leaving can be stopped', async () => {
  const [old, socket] = [await startSocket(), await startSocket()];
  await using pair = await createPair({ ...free, clientSocket: old });
  echo(pair.far);
  const moving = pair.near.migrate({ socket });
  while (pair.near.localPort === old.port) await new Promise((resolve) => setImmediate(resolve));
  await old.stop();
  await moving;
  const stream = pair.near.newStream();
  await stream.end(Buffer.from('moved'));
  expect((await readAll(stream)).toString()).toBe('moved');
  await pair.client.destroy();
  await socket.stop();
});
