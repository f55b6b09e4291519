import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { promisify } from 'node:util';
import type { StopOptions } from '../lib';
import { errors, events } from '../lib';
import { authority, createPair, echo, nextEvent, openStream, readAll, recordEvents, startSocket } from './helpers/pair';

describe('a connection that one side stops', () => {
  test('ends at both, with code and reason, told in order', async () => {
    const pair = await createPair();
    const [here, there] = [recordEvents(pair.near), recordEvents(pair.far)];
    const reason = Buffer.from('enough for today');
    await pair.near.stop({ errorCode: 77, reason });
    await pair.far.closedP;
    expect(here).toEqual([
      'EventQUICConnectionStop',
      'EventQUICConnectionError',
      'EventQUICConnectionClose',
      'EventQUICConnectionStopped',
    ]);
    expect(there.slice(0, 3)).toEqual([
      'EventQUICConnectionError',
      'EventQUICConnectionClose',
      'EventQUICConnectionStop',
    ]);
    expect(pair.near.getConnectionError()).toEqual({ isApp: true, errorCode: 77, reason });
    expect(pair.far.getConnectionError()).toMatchObject({ isApp: true, errorCode: 77 });
    expect(Buffer.from(pair.far.getConnectionError()!.reason)).toEqual(reason);
    await pair[Symbol.asyncDispose]();
  });

  test('can be ended with a code of QUIC itself', async () => {
    const pair = await createPair();
    await pair.far.stop({ isApp: false, errorCode: 1 });
    await pair.client.closedP;
    expect(pair.near.getConnectionError()).toMatchObject({ isApp: false, errorCode: 1 });
    await pair[Symbol.asyncDispose]();
  });

  test('fails its streams with its error, on both sides', async () => {
    const pair = await createPair();
    const [ours, theirs] = await openStream(pair.near, pair.far);
    await theirs.read();
    const reads = [ours.read(), theirs.readable.getReader().read()];
    const writes = [ours.writable.getWriter().closed, theirs.write(Buffer.alloc(20_000_000))];
    const settled = Promise.allSettled([...reads, ...writes]);
    const heard = nextEvent<events.EventQUICConnectionError>(pair.far, events.EventQUICConnectionError);
    await pair.near.stop();
    const { detail: error } = await heard;
    expect(error).toBeInstanceOf(errors.ErrorQUICConnectionPeer);
    const outcomes = (await settled) as PromiseRejectedResult[];
    expect(outcomes.map(({ reason }) => (reason as Error).name)).toEqual([
      'ErrorQUICConnectionLocal',
      'ErrorQUICConnectionPeer',
      'ErrorQUICConnectionLocal',
      'ErrorQUICConnectionPeer',
    ]);
    expect([outcomes[1].reason, outcomes[3].reason]).toEqual([error, error]);
    await Promise.all([ours.closedP, theirs.closedP]);
    expect(() => pair.near.newStream()).toThrow(errors.ErrorQUICConnectionNotRunning);
    expect(() => pair.far.newStream()).toThrow(errors.ErrorQUICConnectionNotRunning);
    await pair[Symbol.asyncDispose]();
  });

  test('lets what came before still be read', async () => {
    const pair = await createPair();
    const sent = randomBytes(200_000);
    const [ours, theirs] = await openStream(pair.near, pair.far);
    await ours.end(sent);
    await pair.near.stop({ force: true, flush: true });
    await pair.far.closedP;
    await theirs.closedP;
    expect((await readAll(theirs)).subarray(1).equals(sent)).toBe(true);
    await pair[Symbol.asyncDispose]();
  });

  test('lets what came of an unended stream be read, then fails', async () => {
    const pair = await createPair();
    const [ours, theirs] = await openStream(pair.near, pair.far, 'first');
    await ours.write(Buffer.from(' second'));
    // Echoed, so that it has arrived.
    const probe = await openStream(pair.near, pair.far);
    await pair.near.stop();
    await pair.far.closedP;
    const reader = theirs.readable.getReader();
    expect(Buffer.from((await reader.read()).value!).toString()).toBe('first second');
    await expect(reader.read()).rejects.toThrow(errors.ErrorQUICConnectionPeer);
    expect(probe).toHaveLength(2);
    await pair[Symbol.asyncDispose]();
  });
});

describe('stopping without force', () => {
  test('delivers megabytes that were ended just before', async () => {
    const pair = await createPair();
    const received: Promise<Buffer>[] = [];
    pair.far.addEventListener(
      events.EventQUICConnectionStream.name,
      ({ detail: stream }: events.EventQUICConnectionStream) => {
        received.push(readAll(stream));
        void stream.end();
      },
    );
    const sent = randomBytes(3_000_000);
    const streams = Array.from({ length: 5 }, () => pair.near.newStream());
    for (const stream of streams) {
      void stream.end(sent);
      void readAll(stream);
    }
    await pair.near.stop({ force: false });
    for (const all of await Promise.all(received)) expect(all.equals(sent)).toBe(true);
    expect(received).toHaveLength(5);
    await pair[Symbol.asyncDispose]();
  });

  test('ends when the peer stops', async () => {
    const pair = await createPair();
    await openStream(pair.near, pair.far);
    const stopped = pair.near.stop({ force: false });
    await pair.far.stop();
    await stopped;
    await pair[Symbol.asyncDispose]();
  });

  test('from both sides at once ends when the streams have', async () => {
    const pair = await createPair();
    const [ours, theirs] = await openStream(pair.near, pair.far);
    const stopped = Promise.all([pair.near.stop({ force: false }), pair.far.stop({ force: false })]);
    await Promise.all([ours.end(), theirs.end(), readAll(ours), readAll(theirs)]);
    await stopped;
    await pair[Symbol.asyncDispose]();
  });

  test('ends in a process where nothing else happens, and what follows from it begins', async () => {
    const program = `
      const { QUICClient, QUICServer } = require(${JSON.stringify(path.join(__dirname, '..', 'dist'))});
      void (async () => {
        const server = new QUICServer({ config: ${JSON.stringify(authority().issue())} });
        await server.start({ host: '127.0.0.1' });
        const to = { host: '127.0.0.1', port: server.port, localHost: '127.0.0.1', config: { verifyPeer: false } };
        const first = await QUICClient.createQUICClient(to);
        // Until nothing is under way any more, so that nothing but the call wakes the event loop.
        await new Promise((resolve) => setTimeout(resolve, 1000));
        await first.connection.stop({ force: false });
        const second = await QUICClient.createQUICClient(to);
        for (const end of [first, second]) await end.destroy({ force: true });
        await server.stop({ force: true });
        console.log('done');
      })();`;
    const { stdout } = await promisify(execFile)(process.execPath, ['--eval', program], { timeout: 15_000 });
    expect(stdout.trim()).toBe('done');
  });

  test('ends when its streams are destroyed', async () => {
    const pair = await createPair();
    await openStream(pair.near, pair.far);
    const stopped = pair.near.stop({ force: false });
    pair.near.destroyStreams('enough');
    await stopped;
    await pair[Symbol.asyncDispose]();
  });
});

describe('stopping with flush', () => {
  test('delivers what was ended, and gives up what was not', async () => {
    const pair = await createPair();
    const sent = randomBytes(3_000_000);
    const [ended, there] = await openStream(pair.near, pair.far);
    const [open, openThere] = await openStream(pair.near, pair.far);
    await openThere.read();
    const received = readAll(there);
    void ended.end(sent);
    const failed = expect(openThere.read()).rejects.toThrow('read 0');
    await pair.near.stop({ flush: true, timeout: 10_000 });
    await failed;
    await expect(open.read()).rejects.toThrow(errors.ErrorQUICConnectionStopping);
    expect((await received).subarray(1).equals(sent)).toBe(true);
    await pair[Symbol.asyncDispose]();
  });

  test('gives up after its timeout', async () => {
    const pair = await createPair({ server: { initialMaxStreamDataBidiRemote: 1000 } });
    const [ours] = await openStream(pair.near, pair.far);
    const ended = expect(ours.end(Buffer.alloc(100_000))).rejects.toThrow(errors.ErrorQUICConnectionLocal);
    await pair.near.stop({ flush: true, timeout: 50 });
    await ended;
    await pair[Symbol.asyncDispose]();
  });
});

test('of a connection that timed out, everybody who waits learns that', async () => {
  await using pair = await createPair({ client: { maxIdleTimeout: 200 } });
  const [ours] = await openStream(pair.near, pair.far);
  const outcomes = await Promise.allSettled([ours.read(), ours.read(), pair.near.receiveDatagram()]);
  const reasons = outcomes.map(
    (outcome) => (outcome.status === 'rejected' ? outcome.reason : outcome.value) as unknown,
  );
  for (const reason of reasons.slice(0, 2)) expect(reason).toBeInstanceOf(errors.ErrorQUICConnectionIdleTimeout);
  expect(reasons[2]).toBeNull();
  await expect(ours.read()).rejects.toBe(reasons[0]);
});

test('what came before a connection timed out can still be read', async () => {
  await using pair = await createPair({ client: { maxIdleTimeout: 200 } });
  const [ours, theirs] = await openStream(pair.near, pair.far);
  const sent = randomBytes(50_000);
  await theirs.end(sent);
  await pair.near.closedP;
  expect((await readAll(ours)).equals(sent)).toBe(true);
});

describe('a stop that waits', () => {
  test('is over when both sides have ended their streams, whoever was first', async () => {
    for (const order of [0, 1, 2]) {
      await using pair = await createPair();
      const [ours, theirs] = await openStream(pair.near, pair.far);
      const stopped = pair.near.stop({ force: false });
      if (order === 0) await Promise.all([ours.end(), theirs.end()]);
      if (order === 1) await ours.end().then(() => theirs.end());
      if (order === 2) await theirs.end().then(() => ours.end());
      await Promise.all([readAll(theirs), readAll(ours)]);
      await stopped;
      expect(pair.near.closed).toBe(true);
    }
  });

  test.each([
    { force: false, timeout: 1 },
    { force: false, signal: AbortSignal.abort() },
    { flush: true },
    { flush: true, timeout: 1 },
    { force: true },
  ])('is bounded by a second one with %p, at client, server and connection', async (second) => {
    for (const what of ['client', 'server', 'near'] as const) {
      await using pair = await createPair();
      await openStream(pair.near, pair.far);
      const stop = (options: StopOptions) =>
        what === 'client' ? pair.client.destroy(options) : pair[what].stop(options);
      const first = stop({ force: false, errorCode: 5 });
      await Promise.all([first, stop(second)]);
      expect([pair.near.closed, pair.far.closed]).toContain(true);
    }
  });

  test('is ended by a listener to what it aborts', async () => {
    await using pair = await createPair();
    const [ours] = await openStream(pair.near, pair.far);
    ours.addEventListener(events.EventQUICStreamError.name, () => void pair.near.stop());
    await pair.near.stop({ flush: true, errorCode: 3 });
    expect(pair.near.getConnectionError()).toMatchObject({ errorCode: 0 });
  });

  test.each([{ force: false, timeout: 1 }, { force: false, signal: AbortSignal.abort() }, { flush: true }])(
    'is bounded by %p from who is told that it begins',
    async (second) => {
      await using pair = await createPair();
      await openStream(pair.near, pair.far);
      pair.near.addEventListener(events.EventQUICConnectionStop.name, () => void pair.near.stop(second), {
        once: true,
      });
      await pair.near.stop({ force: false });
    },
  );

  test('opens no stream for those who wait for one', async () => {
    await using pair = await createPair({ server: { initialMaxStreamsBidi: 1 } });
    const [ours] = await openStream(pair.near, pair.far);
    const wanted = pair.near.openStream();
    const stopped = pair.near.stop({ force: false, timeout: 5000 });
    await expect(wanted).rejects.toThrow(errors.ErrorQUICConnectionStopping);
    ours.cancel();
    await Promise.all([pair.near.stop(), stopped]);
  });
});

test('a listener that stops the socket meets no closed addon', async () => {
  await using clientSocket = await startSocket();
  await using pair = await createPair({ clientSocket });
  const streams = await Promise.all([1, 2, 3].map(() => openStream(pair.near, pair.far)));
  const [[first], [second]] = streams;
  let outcomes: unknown[] = [];
  first.addEventListener(events.EventQUICStreamError.name, () => {
    if (outcomes.length > 0) return;
    void clientSocket.stop({ force: true });
    outcomes = [second.write(Buffer.from('x')), pair.near.sendDatagram(Buffer.from('x'))];
    second.cancel(new Error('given up'));
  });
  const waiting = second.read();
  await pair.far.stop();
  await expect(waiting).rejects.toThrow('given up');
  await expect(outcomes[0]).rejects.toThrow(errors.ErrorQUICConnectionPeer);
  expect(outcomes[1]).toBe(false);
});

test('an idle connection ends at both sides by itself', async () => {
  const pair = await createPair({ server: { maxIdleTimeout: 200 } });
  const heard = [pair.near, pair.far].map((connection) =>
    nextEvent<events.EventQUICConnectionError>(connection, events.EventQUICConnectionError),
  );
  for (const { detail } of await Promise.all(heard)) {
    expect(detail).toBeInstanceOf(errors.ErrorQUICConnectionIdleTimeout);
    expect(detail).not.toBeInstanceOf(errors.ErrorQUICConnectionLocal);
    expect(detail).not.toBeInstanceOf(errors.ErrorQUICConnectionPeer);
  }
  await pair.client.closedP;
  expect(pair.near.getConnectionError()).toBeUndefined();
  await pair.server.stop();
});

test('keep-alive holds a quiet connection', async () => {
  await using pair = await createPair({ client: { maxIdleTimeout: 300, keepAliveIntervalTime: 50 } });
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const [ours, theirs] = await openStream(pair.near, pair.far, 'alive');
  await ours.end();
  expect((await readAll(theirs)).toString()).toBe('alive');
});

test('stopping while a dial is under way, from every side, in any order', async () => {
  for (let i = 0; i < 20; i++) {
    const pair = await createPair();
    echo(pair.far);
    const streams = Array.from({ length: 5 }, () => pair.near.newStream());
    const results = Promise.allSettled(
      streams.flatMap((stream) => [stream.write(randomBytes(100_000)), stream.read()]),
    );
    const stops = [
      () => pair.near.stop(),
      () => pair.far.stop(),
      () => pair.client.destroy(),
      () => pair.server.stop(),
      () => pair.near.stop({ force: false, timeout: 10 }),
    ];
    for (let turn = 0; turn < i; turn++) stops.push(stops.shift()!);
    await Promise.all(stops.map((stop) => stop()));
    await results;
  }
});
