import { randomBytes } from 'node:crypto';
import { QUICSocket, errors, events } from '../lib';
import { createPair, nextEvent, openStream, readAll } from './helpers/pair';

const KiB = 1024;

/** Whether a promise is still pending after whatever runs now. */
async function isPending(p: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending');
  return (await Promise.race([p, new Promise((resolve) => setTimeout(resolve, 100, pending))])) === pending;
}

test('a writer waits for a reader, by lean calls', async () => {
  await using pair = await createPair({
    server: { initialMaxStreamDataBidiRemote: 64 * KiB, maxStreamWindow: 64 * KiB },
  });
  const [ours, theirs] = await openStream(pair.near, pair.far);
  const sent = randomBytes(1024 * KiB);
  const written = ours.end(sent);
  expect(await isPending(written)).toBe(true);
  expect(ours.stats.bytesWritten).toBeLessThanOrEqual(64 * KiB);
  const received = await readAll(theirs);
  expect(received.subarray(1).equals(sent)).toBe(true);
  await written;
});

test('a writer waits for a reader, by web streams', async () => {
  await using pair = await createPair({
    server: { initialMaxStreamDataBidiRemote: 64 * KiB, maxStreamWindow: 64 * KiB },
  });
  const [ours, theirs] = await openStream(pair.near, pair.far);
  const writer = ours.writable.getWriter();
  let written = 0;
  const writing = (async () => {
    for (; written < 64; written++) {
      await writer.ready;
      await writer.write(Buffer.alloc(16 * KiB));
    }
    await writer.close();
  })();
  expect(await isPending(writing)).toBe(true);
  expect(written).toBeLessThan(8);
  expect((await readAll(theirs.readable)).length).toBe(1 + 1024 * KiB);
  await writing;
});

test('nothing is read ahead of the reader', async () => {
  await using pair = await createPair();
  const [ours, theirs] = await openStream(pair.near, pair.far);
  // Made, and asked for nothing.
  expect(theirs.readable.locked).toBe(false);
  await ours.write(Buffer.alloc(100 * KiB));
  expect(theirs.stats.bytesRead).toBe(0);
});

test('one stream that nobody reads holds no other up', async () => {
  await using pair = await createPair({ server: { initialMaxStreamDataBidiRemote: 32 * KiB } });
  const [blocked] = await openStream(pair.near, pair.far);
  const written = blocked.write(Buffer.alloc(256 * KiB));
  expect(await isPending(written)).toBe(true);
  const [ours, theirs] = await openStream(pair.near, pair.far);
  const sent = randomBytes(256 * KiB);
  void ours.end(sent);
  expect((await readAll(theirs)).subarray(1).equals(sent)).toBe(true);
});

test('many streams share the window of the connection', async () => {
  await using pair = await createPair({ server: { initialMaxData: 64 * KiB, maxConnectionWindow: 64 * KiB } });
  const sums: Promise<number>[] = [];
  pair.far.addEventListener(
    events.EventQUICConnectionStream.name,
    ({ detail: stream }: events.EventQUICConnectionStream) => sums.push(readAll(stream).then((all) => all.length)),
  );
  await Promise.all(Array.from({ length: 20 }, () => pair.near.newStream().end(Buffer.alloc(50 * KiB))));
  while (sums.length < 20) await nextEvent(pair.far, events.EventQUICConnectionStream);
  expect(await Promise.all(sums)).toEqual(Array.from({ length: 20 }, () => 50 * KiB));
});

describe('beyond the number of streams that the peer permits', () => {
  test('a new stream waits with its first write', async () => {
    await using pair = await createPair({ server: { initialMaxStreamsBidi: 1 } });
    const [first, theirs] = await openStream(pair.near, pair.far);
    const second = pair.near.newStream();
    const opened = nextEvent<events.EventQUICConnectionStream>(pair.far, events.EventQUICConnectionStream);
    const written = second.end(Buffer.from('second'));
    expect(await isPending(written)).toBe(true);
    await first.end();
    await theirs.end();
    await Promise.all([readAll(first), readAll(theirs)]);
    await written;
    expect((await readAll((await opened).detail)).toString()).toBe('second');
  });

  test('openStream waits, in order, and can be given up', async () => {
    await using pair = await createPair({ server: { initialMaxStreamsBidi: 1 } });
    const [first, theirs] = await openStream(pair.near, pair.far);
    const controller = new AbortController();
    const reason = new Error('no patience');
    const impatient = pair.near.openStream({ signal: controller.signal });
    const patient = pair.near.openStream();
    expect(await isPending(patient)).toBe(true);
    controller.abort(reason);
    await expect(impatient).rejects.toBe(reason);
    first.cancel();
    theirs.cancel();
    await (await patient).end();
  });

  test('a stream that waits comes before those who wait for one: its number is lower', async () => {
    await using pair = await createPair({ server: { initialMaxStreamsBidi: 1 } });
    const [first, theirs] = await openStream(pair.near, pair.far);
    const wanted = pair.near.openStream();
    const second = pair.near.newStream();
    const opened: Promise<string>[] = [];
    pair.far.addEventListener(
      events.EventQUICConnectionStream.name,
      ({ detail: stream }: events.EventQUICConnectionStream) => {
        void stream.end();
        opened.push(readAll(stream).then(String));
      },
    );
    const writing = [second.end(Buffer.from('second')), wanted.then((third) => third.end(Buffer.from('third')))];
    first.cancel();
    theirs.cancel();
    await readAll(second);
    await Promise.all(writing);
    await readAll(await wanted);
    expect(await Promise.all(opened)).toEqual(['second', 'third']);
    expect((await wanted).streamId).toBeGreaterThan(second.streamId);
  });

  test('streams that were made and never used count', async () => {
    await using pair = await createPair({ server: { initialMaxStreamsBidi: 2 } });
    const [unused, used] = [pair.near.newStream(), pair.near.newStream()];
    const late = pair.near.openStream();
    const opened = nextEvent<events.EventQUICConnectionStream>(pair.far, events.EventQUICConnectionStream);
    const [read, end] = [unused.read(), used.end(Buffer.from('used'))];
    expect((await readAll((await opened).detail)).toString()).toBe('used');
    await end;
    expect(await isPending(Promise.race([late, read]))).toBe(true);
    await pair.near.stop();
    for (const waiting of [read, late]) await expect(waiting).rejects.toThrow(errors.ErrorQUICConnectionLocal);
  });

  test('a stream that was given up while it waited is opened and given up', async () => {
    await using pair = await createPair({ server: { initialMaxStreamsBidi: 1 } });
    const [first, theirs] = await openStream(pair.near, pair.far);
    const second = pair.near.newStream();
    const third = pair.near.newStream();
    second.cancel();
    first.cancel();
    theirs.cancel();
    const { detail: aborted } = await nextEvent<events.EventQUICConnectionStream>(
      pair.far,
      events.EventQUICConnectionStream,
    );
    const opened = nextEvent<events.EventQUICConnectionStream>(pair.far, events.EventQUICConnectionStream);
    await expect(aborted.read()).rejects.toThrow('read 0');
    await third.end(Buffer.from('third'));
    expect((await readAll((await opened).detail)).toString()).toBe('third');
  });

  test('those who wait learn of the end', async () => {
    await using pair = await createPair({ server: { initialMaxStreamsBidi: 0, initialMaxStreamsUni: 0 } });
    const waiting = [pair.near.openStream(), pair.near.openStream({ type: 'uni' }), pair.near.newStream().end()];
    void pair.far.stop();
    for (const p of waiting) await expect(p).rejects.toThrow(errors.ErrorQUICConnectionPeer);
  });

  test('each kind has its own number', async () => {
    await using pair = await createPair({ server: { initialMaxStreamsBidi: 0 } });
    await (await pair.near.openStream({ type: 'uni' })).end(Buffer.from('x'));
  });
});

test('the memory of a socket is bounded: the connection that holds most is closed', async () => {
  const socket = new QUICSocket({ maxBufferedBytes: 1024 * KiB });
  await socket.start({ host: '127.0.0.1' });
  await using pair = await createPair({ serverSocket: socket });
  const ended = nextEvent<events.EventQUICConnectionError>(pair.far, events.EventQUICConnectionError);
  const streams = Array.from({ length: 8 }, () => pair.near.newStream());
  void Promise.allSettled(streams.map((stream) => stream.write(Buffer.alloc(900 * KiB))));
  const { detail: error } = await ended;
  expect(error).toBeInstanceOf(errors.ErrorQUICConnectionLocal);
  expect(socket.stats!.endpoint.closedForMemory).toBe(1);
  await pair.server.stop();
  await socket.stop();
});
