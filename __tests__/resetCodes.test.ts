import { errors, events } from '../lib';
import type { Pair } from './helpers/pair';
import { createPair, nextEvent, openStream, readAll, recordEvents } from './helpers/pair';

/** Reasons that both sides know, and their codes. */
const reasons = new Map<number, Error>([
  [7, new Error('seven')],
  [8, new Error('eight')],
]);

function reasonToCode(type: 'read' | 'write', reason?: unknown): number {
  for (const [code, known] of reasons) if (known === reason) return type === 'read' ? code : code + 100;
  return 0;
}

/** What `type` fails with here was given up as the other type there. */
function codeToReason(type: 'read' | 'write', code: number): unknown {
  return reasons.get(type === 'read' ? code - 100 : code) ?? new Error(`unknown ${type} ${code}`);
}

const [seven, eight] = [reasons.get(7)!, reasons.get(8)!];
const FULL = Buffer.alloc(1_000_000);

function createTranslatingPair(): Promise<Pair> {
  return createPair({
    reasonToCode,
    codeToReason,
    server: { initialMaxStreamDataBidiRemote: 10_000 },
    client: { initialMaxStreamDataBidiLocal: 10_000 },
  });
}

describe('a reason crosses to the other side', () => {
  test('writer.abort → read', async () => {
    await using pair = await createTranslatingPair();
    const [ours, theirs] = await openStream(pair.near, pair.far);
    await theirs.read();
    const read = theirs.readable.getReader().read();
    await ours.writable.abort(seven);
    await expect(read).rejects.toBe(seven);
    expect(ours.writeClosed).toBe(true);
    expect(ours.readClosed).toBe(false);
  });

  test('reader.cancel → write', async () => {
    await using pair = await createTranslatingPair();
    const [ours, theirs] = await openStream(pair.near, pair.far);
    const { closed } = ours.writable.getWriter();
    await theirs.readable.cancel(seven);
    await expect(closed).rejects.toBe(seven);
  });

  test('cancel → both, and here the reason itself', async () => {
    await using pair = await createTranslatingPair();
    const [ours, theirs] = await openStream(pair.near, pair.far);
    await theirs.read();
    const here = [ours.readable.getReader().closed, ours.writable.getWriter().closed];
    const there = [theirs.readable.getReader().closed, theirs.writable.getWriter().closed];
    const { cancel } = ours;
    cancel(eight);
    for (const closed of here) await expect(closed).rejects.toBe(eight);
    for (const closed of there) await expect(closed).rejects.toBe(eight);
    await Promise.all([ours.closedP, theirs.closedP]);
  });

  test('destroy → both', async () => {
    await using pair = await createTranslatingPair();
    const [ours, theirs] = await openStream(pair.near, pair.far);
    await theirs.read();
    const read = theirs.read();
    await ours.destroy({ reason: seven });
    await expect(read).rejects.toBe(seven);
    await expect(theirs.write(FULL)).rejects.toBe(seven);
  });

  test('destroyStreams → all streams, and the connection stays', async () => {
    await using pair = await createTranslatingPair();
    const streams = [await openStream(pair.near, pair.far), await openStream(pair.near, pair.far)];
    for (const [, theirs] of streams) await theirs.read();
    const reads = streams.map(([, theirs]) => theirs.read());
    pair.near.destroyStreams(eight);
    for (const read of reads) await expect(read).rejects.toBe(eight);
    const [, theirs] = await openStream(pair.near, pair.far, 'alive');
    expect(Buffer.from((await theirs.read())!).toString()).toBe('alive');
  });

  test('before any data', async () => {
    await using pair = await createTranslatingPair();
    const opened = nextEvent<events.EventQUICConnectionStream>(pair.far, events.EventQUICConnectionStream);
    const ours = pair.near.newStream();
    ours.cancel(seven);
    const { detail: theirs } = await opened;
    await expect(theirs.read()).rejects.toBe(seven);
    await expect(theirs.write(Buffer.from('x'))).rejects.toBe(seven);
    await Promise.all([ours.closedP, theirs.closedP]);
  });

  test.each(['lean calls', 'web streams'])('writer.abort → at once, while earlier data is unread (%s)', async (by) => {
    await using pair = await createTranslatingPair();
    const [ours, theirs] = await openStream(pair.near, pair.far, 'never read');
    const closed = by === 'web streams' ? theirs.readable.getReader().closed : undefined;
    const told = nextEvent<events.EventQUICStreamError>(theirs, events.EventQUICStreamError);
    ours.abortWrite(seven);
    const { detail } = await told;
    expect(detail).toBeInstanceOf(errors.ErrorQUICStreamPeerRead);
    expect([detail.data['code'], detail.cause]).toEqual([107, seven]);
    expect([theirs.readClosed, theirs.writeClosed]).toEqual([true, false]);
    if (closed === undefined) await expect(theirs.read()).rejects.toBe(seven);
    else await expect(closed).rejects.toBe(seven);
  });

  test('while buffers are full, in both directions', async () => {
    await using pair = await createTranslatingPair();
    const [ours, theirs] = await openStream(pair.near, pair.far);
    const writes = [ours.writable.getWriter().write(FULL), theirs.writable.getWriter().write(FULL)];
    await expect(Promise.race([...writes, new Promise((resolve) => setTimeout(resolve, 50, 'full'))])).resolves.toBe(
      'full',
    );
    ours.cancel(seven);
    for (const write of writes) await expect(write).rejects.toBe(seven);
  });

  test('abort of a writer whose write is under way', async () => {
    await using pair = await createTranslatingPair();
    const [ours, theirs] = await openStream(pair.near, pair.far);
    const writer = ours.writable.getWriter();
    const write = writer.write(FULL);
    await writer.abort(eight);
    await expect(write).rejects.toBe(eight);
    await expect(readAll(theirs)).rejects.toBe(eight);
  });

  test('when both sides give up at once', async () => {
    await using pair = await createTranslatingPair();
    const [ours, theirs] = await openStream(pair.near, pair.far);
    await theirs.read();
    const here = ours.readable.getReader().closed;
    const there = theirs.readable.getReader().closed;
    ours.cancel(seven);
    theirs.cancel(eight);
    await expect(here).rejects.toBe(seven);
    await expect(there).rejects.toBe(eight);
    await Promise.all([ours.closedP, theirs.closedP]);
  });

  test('to a unidirectional stream', async () => {
    await using pair = await createTranslatingPair();
    const opened = nextEvent<events.EventQUICConnectionStream>(pair.far, events.EventQUICConnectionStream);
    const ours = pair.near.newStream('uni');
    await ours.write(Buffer.from('x'));
    const { detail: theirs } = await opened;
    theirs.cancel(seven);
    await nextEvent(ours, events.EventQUICStreamCloseWrite);
    await expect(ours.write(Buffer.from('y'))).rejects.toBe(seven);
    await Promise.all([ours.closedP, theirs.closedP]);
  });
});

test('without translation the code is 0 and the reason an error that names it', async () => {
  await using pair = await createPair();
  const [ours, theirs] = await openStream(pair.near, pair.far);
  await theirs.read();
  const closed = theirs.writable.getWriter().closed;
  ours.cancel(seven);
  await expect(theirs.read()).rejects.toThrow('read 0');
  await expect(closed).rejects.toThrow('write 0');
});

test.each([
  [
    'throws',
    () => {
      throw new Error('no code');
    },
  ],
  ['gives a fraction', () => 1.5],
  ['gives a negative number', () => -1],
  ['gives nothing', () => undefined as unknown as number],
])('a translation that %s counts as code 0', async (_, translate) => {
  await using pair = await createPair({ reasonToCode: translate });
  const [ours, theirs] = await openStream(pair.near, pair.far);
  await theirs.read();
  ours.cancel(seven);
  await expect(theirs.read()).rejects.toThrow('read 0');
});

test('codes up to 2^53 - 4 arrive whole', async () => {
  const code = 2 ** 53 - 4;
  await using pair = await createPair({ reasonToCode: () => code });
  const [ours, theirs] = await openStream(pair.near, pair.far);
  await theirs.read();
  ours.abortWrite();
  await expect(theirs.read()).rejects.toThrow(`read ${code}`);
});

test('events say who gave up what, with code and reason', async () => {
  await using pair = await createTranslatingPair();
  const [ours, theirs] = await openStream(pair.near, pair.far);
  await theirs.read();
  const details: errors.ErrorQUICStream[] = [];
  for (const target of [ours, theirs]) {
    target.addEventListener(events.EventQUICStreamError.name, (event: events.EventQUICStreamError) =>
      details.push(event.detail),
    );
  }
  const names = recordEvents(theirs);
  const closed = theirs.closedP;
  ours.cancel(seven);
  await closed;
  expect(details.map(({ name, data, cause }): unknown[] => [name, data['code'], cause])).toEqual([
    ['ErrorQUICStreamLocalRead', 7, seven],
    ['ErrorQUICStreamLocalWrite', 107, seven],
    ['ErrorQUICStreamPeerRead', 107, seven],
    ['ErrorQUICStreamPeerWrite', 7, seven],
  ]);
  expect(names.slice(-2)).toEqual(['EventQUICStreamDestroy', 'EventQUICStreamDestroyed']);
});

test('streams given up in thousands leave no trace: the peer can open more', async () => {
  await using pair = await createPair();
  pair.far.addEventListener(
    events.EventQUICConnectionStream.name,
    async ({ detail: stream }: events.EventQUICConnectionStream) => {
      await stream.read();
      await stream.end(Buffer.from('answer'));
      stream.cancel();
    },
  );
  for (let i = 0; i < 1000; i++) {
    const stream = await pair.near.openStream({ signal: AbortSignal.timeout(10_000) });
    await stream.write(Buffer.from('question'));
    await stream.read();
    stream.cancel();
  }
}, 30_000);
