import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { promisify } from 'node:util';
import { errors, events } from '../lib';
import { authority, createPair, echo, nextEvent, openStream, readAll, recordEvents } from './helpers/pair';

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
