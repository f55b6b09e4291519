import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { QUICStream } from '../lib';
import { errors, events } from '../lib';
import { createPair, echo, nextEvent, openStream, readAll, recordEvents } from './helpers/pair';

describe('bytes', () => {
  test('come back from an echo, by lean calls', async () => {
    await using pair = await createPair();
    echo(pair.far);
    const stream = pair.near.newStream();
    const sent = randomBytes(300_000);
    const received = readAll(stream);
    await stream.write(sent.subarray(0, 100_000));
    await stream.end(sent.subarray(100_000));
    expect((await received).equals(sent)).toBe(true);
    expect(stream.stats).toEqual({ bytesRead: sent.length, bytesWritten: sent.length });
  });

  test('come back from an echo, by web streams', async () => {
    await using pair = await createPair();
    pair.far.addEventListener(
      events.EventQUICConnectionStream.name,
      ({ detail: stream }: events.EventQUICConnectionStream) => stream.readable.pipeTo(stream.writable),
    );
    const stream = pair.near.newStream();
    const sent = randomBytes(300_000);
    const received = readAll(stream.readable);
    const writer = stream.writable.getWriter();
    await writer.write(sent);
    await writer.close();
    expect((await received).equals(sent)).toBe(true);
    await stream.closedP;
  });

  test('come back from an echo, by Node streams', async () => {
    await using pair = await createPair();
    pair.far.addEventListener(
      events.EventQUICConnectionStream.name,
      ({ detail: stream }: events.EventQUICConnectionStream) => {
        const duplex = stream.toDuplex();
        duplex.pipe(duplex);
      },
    );
    const stream = pair.near.newStream();
    const duplex = stream.toDuplex();
    const sent = randomBytes(300_000);
    const received = readAll(duplex);
    duplex.end(sent);
    expect((await received).equals(sent)).toBe(true);
    await stream.closedP;
  });

  test('flow from the server too', async () => {
    await using pair = await createPair();
    const [ours, theirs] = await openStream(pair.far, pair.near, 'from the server');
    await ours.end();
    await theirs.end(Buffer.from('answer'));
    expect((await readAll(theirs)).toString()).toBe('from the server');
    expect((await readAll(ours)).toString()).toBe('answer');
  });

  test('flow one way on a unidirectional stream', async () => {
    await using pair = await createPair();
    const opened = nextEvent<events.EventQUICConnectionStream>(pair.far, events.EventQUICConnectionStream);
    const ours = pair.near.newStream('uni');
    expect([ours.type, ours.initiated, ours.readClosed]).toEqual(['uni', 'local', true]);
    await ours.end(Buffer.from('one way'));
    const { detail: theirs } = await opened;
    expect([theirs.type, theirs.initiated, theirs.writeClosed]).toEqual(['uni', 'peer', true]);
    expect((await readAll(theirs.readable)).toString()).toBe('one way');
    await Promise.all([ours.closedP, theirs.closedP]);
    expect(await ours.read()).toBeNull();
    await expect(theirs.write(Buffer.from('back'))).rejects.toThrow(errors.ErrorQUICStreamInternal);
  });

  test('can be none: an end alone opens and ends a stream', async () => {
    await using pair = await createPair();
    echo(pair.far);
    const stream = pair.near.newStream();
    await stream.end();
    expect(await stream.read()).toBeNull();
    await stream.closedP;
  });

  test.each([1, 1000, 8 * 1024, 20_000, 64 * 1024])(
    'are read in chunks of at most %i, none of which holds memory for much more than itself',
    async (readableChunkSize) => {
      await using pair = await createPair({ client: { readableChunkSize } });
      echo(pair.far);
      const stream = pair.near.newStream();
      const sent = randomBytes(Math.min(300_000, readableChunkSize * 300));
      const ended = stream.end(sent);
      const chunks: Uint8Array[] = [];
      for await (const chunk of stream) chunks.push(chunk);
      await ended;
      expect(Buffer.concat(chunks).equals(sent)).toBe(true);
      const lengths = chunks.map((chunk) => chunk.byteLength);
      expect(Math.min(...lengths)).toBeGreaterThan(0);
      expect(Math.max(...lengths)).toBeLessThanOrEqual(readableChunkSize);
      // Small ones share, as those of `Buffer.from` do.
      const held = chunks.filter((chunk) => chunk.buffer.byteLength > Math.max(chunk.byteLength, 8 * 1024));
      expect(held).toEqual([]);
    },
  );

  test('wait for several readers in order', async () => {
    await using pair = await createPair();
    const [ours, theirs] = await openStream(pair.near, pair.far);
    expect(Buffer.from((await theirs.read())!).toString()).toBe('x');
    const reads = [theirs.read(), theirs.read(), theirs.read()];
    await ours.end(Buffer.from('last'));
    const [first, ...rest] = await Promise.all(reads);
    expect(Buffer.from(first!).toString()).toBe('last');
    expect(rest).toEqual([null, null]);
  });

  test('written while earlier ones wait keep their order', async () => {
    await using pair = await createPair({ server: { initialMaxStreamDataBidiRemote: 10_000 } });
    const opened = nextEvent<events.EventQUICConnectionStream>(pair.far, events.EventQUICConnectionStream);
    const stream = pair.near.newStream();
    const sent = randomBytes(100_000);
    const writes = [stream.write(sent.subarray(0, 50_000)), stream.write(sent.subarray(50_000, 60_000))];
    writes.push(stream.end(sent.subarray(60_000)));
    const { detail: theirs } = await opened;
    expect((await readAll(theirs)).equals(sent)).toBe(true);
    await Promise.all(writes);
  });
});

test('waiting to read can be given up, and takes nothing away', async () => {
  await using pair = await createPair();
  const [ours, theirs] = await openStream(pair.near, pair.far);
  await theirs.read();
  const controller = new AbortController();
  const reason = new Error('no patience');
  const impatient = theirs.read({ signal: controller.signal });
  const patient = theirs.read({ signal: new AbortController().signal });
  controller.abort(reason);
  await expect(impatient).rejects.toBe(reason);
  await expect(theirs.read({ signal: controller.signal })).rejects.toBe(reason);
  await ours.write(Buffer.from('late'));
  expect(Buffer.from((await patient)!).toString()).toBe('late');
});

describe('ends', () => {
  test('of each direction come alone', async () => {
    await using pair = await createPair();
    const [ours, theirs] = await openStream(pair.near, pair.far);
    await ours.end();
    expect([ours.writeClosed, ours.readClosed, ours.closed]).toEqual([true, false, false]);
    expect((await readAll(theirs)).toString()).toBe('x');
    expect([theirs.readClosed, theirs.writeClosed]).toEqual([true, false]);
    await theirs.end(Buffer.from('still open this way'));
    expect((await readAll(ours)).toString()).toBe('still open this way');
    await Promise.all([ours.closedP, theirs.closedP]);
  });

  test('are told by events, with no error', async () => {
    await using pair = await createPair();
    const [ours, theirs] = await openStream(pair.near, pair.far);
    const names = recordEvents(ours);
    const outer = recordEvents(pair.client);
    await ours.end();
    await theirs.end();
    await readAll(ours);
    const expected = [
      'EventQUICStreamCloseWrite',
      'EventQUICStreamCloseRead',
      'EventQUICStreamDestroy',
      'EventQUICStreamDestroyed',
    ];
    expect(names).toEqual(expected);
    // The server's session ticket comes when it likes.
    expect(outer.filter((name) => name !== 'EventQUICConnectionSession')).toEqual(expected);
  });

  test('reach a web reader that is waiting', async () => {
    await using pair = await createPair();
    const [ours, theirs] = await openStream(pair.near, pair.far);
    const reader = ours.readable.getReader();
    const read = reader.read();
    await theirs.end();
    expect(await read).toEqual({ done: true, value: undefined });
    await reader.closed;
  });

  test('are noticed without a reader', async () => {
    await using pair = await createPair();
    const [ours, theirs] = await openStream(pair.near, pair.far);
    await ours.end();
    const closed = ours.readable.getReader().closed;
    await theirs.end();
    await closed;
    await ours.closedP;
  });

  test('by destroy without force wait for both directions', async () => {
    await using pair = await createPair();
    const [ours, theirs] = await openStream(pair.near, pair.far);
    let isDestroyed = false;
    const destroyed = ours.destroy({ force: false }).then(() => (isDestroyed = true));
    await ours.end();
    await readAll(theirs);
    expect(isDestroyed).toBe(false);
    await theirs.end();
    await readAll(ours);
    await destroyed;
  });

  test('end writing: what is written after is refused', async () => {
    await using pair = await createPair();
    const [ours] = await openStream(pair.near, pair.far);
    await ours.end();
    await ours.end();
    await expect(ours.write(Buffer.from('more'))).rejects.toThrow(errors.ErrorQUICStreamInternal);
  });

  test('leaving a loop early gives up reading', async () => {
    await using pair = await createPair();
    const [ours, theirs] = await openStream(pair.near, pair.far);
    for await (const chunk of theirs) {
      expect(chunk).toHaveLength(1);
      break;
    }
    expect(theirs.readClosed).toBe(true);
    await nextEvent(ours, events.EventQUICStreamCloseWrite);
    await expect(ours.write(Buffer.from('more'))).rejects.toThrow('write 0');
  });
});

describe('a Node stream', () => {
  test('fails with the reason when the peer gives up', async () => {
    await using pair = await createPair();
    const [ours, theirs] = await openStream(pair.near, pair.far);
    const duplex = ours.toDuplex();
    const failed = once(duplex, 'error');
    theirs.cancel(new Error('enough'));
    const [error] = (await failed) as [Error];
    expect(error.message).toMatch(/^(read|write) 0$/);
  });

  test('gives the stream up when it is destroyed', async () => {
    await using pair = await createPair();
    const [ours, theirs] = await openStream(pair.near, pair.far);
    await theirs.read();
    ours.toDuplex().destroy();
    await expect(theirs.read()).rejects.toThrow('read 0');
    await ours.closedP;
  });
});

test('meta tells whom the stream joins', async () => {
  await using pair = await createPair();
  const [ours, theirs] = await openStream(pair.near, pair.far);
  expect(ours.meta).toMatchObject({
    localHost: '127.0.0.1',
    localPort: pair.client.localPort,
    remoteHost: '127.0.0.1',
    remotePort: pair.server.port,
    localCertsChain: [],
  });
  expect(ours.meta.remoteCertsChain).toHaveLength(1);
  expect(ours.meta.localCACertsChain).toHaveLength(1);
  expect(theirs.meta.remotePort).toBe(pair.client.localPort);
  expect(theirs.meta.localCertsChain).toEqual(ours.meta.remoteCertsChain);
});

test('priority can be set at any time, and changes nothing but the order', async () => {
  await using pair = await createPair();
  echo(pair.far);
  const stream = pair.near.newStream();
  stream.priority(0, false);
  await stream.end(Buffer.from('urgent'));
  expect((await readAll(stream)).toString()).toBe('urgent');
  stream.priority(255);
});

test('priority is checked at once, also of a stream that waits for credit', async () => {
  await using pair = await createPair({ server: { initialMaxStreamsBidi: 1 } });
  echo(pair.far);
  const [open, waiting] = [pair.near.newStream(), pair.near.newStream()];
  for (const stream of [open, waiting]) {
    for (const urgency of [256, -1, 1.5, NaN]) expect(() => stream.priority(urgency)).toThrow(RangeError);
    expect(() => stream.priority(1, 'yes' as unknown as boolean)).toThrow(TypeError);
  }
  await open.end();
  expect(await readAll(open)).toHaveLength(0);
  await waiting.end(Buffer.from('served'));
  expect((await readAll(waiting)).toString()).toBe('served');
});

describe('a listener that is told of the end of a stream', () => {
  test('may read another one, and disturbs no bytes', async () => {
    await using pair = await createPair();
    const [near, far] = await openStream(pair.near, pair.far);
    const [otherNear, otherFar] = await openStream(pair.near, pair.far);
    const [lastNear, lastFar] = await openStream(pair.near, pair.far);
    await Promise.all([far.read(), otherFar.read()]);
    let other: Promise<Uint8Array | null> | undefined;
    near.addEventListener(events.EventQUICStreamCloseRead.name, () => (other = otherNear.read()));
    await otherFar.write(Buffer.from('BBBB'));
    await far.end(Buffer.from('AAAA'));
    await lastFar.write(Buffer.from('both are there'));
    await lastNear.read();
    const read = await near.read();
    expect([read, await other].map(String)).toEqual(['AAAA', 'BBBB']);
  });

  test('may abort the read that it comes with, which takes nothing from it', async () => {
    await using pair = await createPair();
    const [near, far] = await openStream(pair.near, pair.far);
    await far.read();
    const controller = new AbortController();
    near.addEventListener(events.EventQUICStreamCloseRead.name, () => controller.abort());
    const read = near.read({ signal: controller.signal });
    await far.end(Buffer.from('the last bytes'));
    expect(String(await read)).toBe('the last bytes');
    expect(await near.read()).toBeNull();
  });
});

test('small chunks can not be transferred away from under others', async () => {
  await using pair = await createPair();
  const [near, far] = await openStream(pair.near, pair.far);
  await far.end(Buffer.from('small'));
  const chunk = await near.read();
  const transfer = [chunk!.buffer as ArrayBuffer];
  try {
    structuredClone(chunk, { transfer });
  } catch {
    // Newer Nodes say so.
  }
  const [again, there] = await openStream(pair.near, pair.far);
  await there.end(Buffer.from('still'));
  expect([chunk, await again.read()].map(String)).toEqual(['small', 'still']);
});

test('a web stream that is handed no bytes resets the stream', async () => {
  await using pair = await createPair({ reasonToCode: () => 7 });
  const [near, far] = await openStream(pair.near, pair.far);
  await far.read();
  const writer = near.writable.getWriter();
  await expect(writer.write('text' as unknown as Uint8Array)).rejects.toThrow(/Buffer.from/);
  expect(near.writeClosed).toBe(true);
  await expect(far.read()).rejects.toThrow('read 7');
});

test('a translation of reasons may give the stream up itself', async () => {
  const streams: QUICStream[] = [];
  await using pair = await createPair({
    reasonToCode: () => {
      for (const stream of streams) stream.cancel();
      return 1;
    },
  });
  const [near] = await openStream(pair.near, pair.far);
  streams.push(near);
  expect(() => near.cancel(new Error('enough'))).not.toThrow();
  expect(near.closed).toBe(true);
});

test('the connection ends for all, though a translation gives a stream up', async () => {
  const streams: QUICStream[] = [];
  await using pair = await createPair({
    reasonToCode: () => {
      for (const stream of streams) stream.cancel(new Error('mine'));
      return 1;
    },
  });
  const [[near], [other]] = await Promise.all([1, 2].map(() => openStream(pair.near, pair.far)));
  streams.push(near);
  const reads = Promise.allSettled([near.read(), other.read()]);
  await pair.far.stop();
  expect((await reads).map((outcome) => outcome.status)).toEqual(['rejected', 'rejected']);
  await pair.client.closedP;
});

test.each(['EventQUICStreamError', 'EventQUICStreamCloseRead', 'EventQUICStreamCloseWrite'])(
  'the end of a stream is told once, after both of its halves, though a listener of %s gives it up',
  async (name) => {
    await using pair = await createPair();
    const [near] = await openStream(pair.near, pair.far);
    const names = recordEvents(near);
    near.addEventListener(name, () => near.cancel());
    near.cancelRead();
    near.abortWrite();
    expect(names.filter((each) => each !== 'EventQUICStreamError').sort()).toEqual([
      'EventQUICStreamCloseRead',
      'EventQUICStreamCloseWrite',
      'EventQUICStreamDestroy',
      'EventQUICStreamDestroyed',
    ]);
    expect(names.slice(-2)).toEqual(['EventQUICStreamDestroy', 'EventQUICStreamDestroyed']);
  },
);

describe('a Node stream whose peer wants no more', () => {
  test('gives an answer that came with that', async () => {
    await using pair = await createPair();
    const [near, far] = await openStream(pair.near, pair.far);
    const duplex = near.toDuplex();
    const failed = once(duplex, 'error');
    const chunks: Buffer[] = [];
    duplex.on('data', (chunk: Buffer) => chunks.push(chunk));
    await far.read();
    far.cancelRead();
    await far.end(Buffer.from('answer'));
    await failed;
    expect(String(Buffer.concat(chunks))).toBe('answer');
    expect(duplex.destroyed).toBe(true);
  });

  test.each(['destroyed', 'given up by the peer', 'ended with its connection'])(
    'tells a writer who waits, when it is %s',
    async (how) => {
      await using pair = await createPair();
      const [near, far] = await openStream(pair.near, pair.far);
      const duplex = near.toDuplex();
      duplex.on('data', () => undefined).on('error', () => undefined);
      const written = new Promise((resolve) => duplex.write(Buffer.alloc(20_000_000), resolve));
      if (how === 'destroyed') duplex.destroy(new Error('enough'));
      if (how === 'given up by the peer') far.cancel();
      if (how === 'ended with its connection') await pair.far.stop();
      expect(await written).toBeInstanceOf(Error);
    },
  );

  test('gives all of the answer first', async () => {
    await using pair = await createPair();
    const [near, far] = await openStream(pair.near, pair.far);
    const duplex = near.toDuplex();
    await far.read();
    const answer = randomBytes(500_000);
    void far.end(answer);
    far.cancelRead();
    const failed = new Promise<Error | null | undefined>((resolve) => duplex.write(Buffer.alloc(10_000_000), resolve));
    duplex.on('error', () => undefined);
    const chunks: Uint8Array[] = [];
    for await (const chunk of duplex.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
      chunks.push(chunk);
      if (Buffer.concat(chunks).length === answer.length) break;
    }
    expect(Buffer.concat(chunks).equals(answer)).toBe(true);
    duplex.resume();
    expect(await failed).toBeInstanceOf(Error);
  });

  test('fails at once where nobody reads', async () => {
    await using pair = await createPair();
    const [near, far] = await openStream(pair.near, pair.far);
    const duplex = near.toDuplex();
    const failed = once(duplex, 'error');
    duplex.write(Buffer.alloc(10_000_000));
    far.cancelRead();
    await failed;
    expect(duplex.destroyed).toBe(true);
  });
});
