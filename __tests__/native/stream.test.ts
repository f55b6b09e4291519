import { Shutdown } from '../../index.js';

import { RawPair, codeOf } from '../helpers/rawPair';

const BLOCKED = -1;
const FINISHED = -2;

/** What `streamRead` and `streamWrite` answer when the peer gave a code. */
function withCode(code: number): number {
  return -3 - code;
}

function packed(bytes: number, fin: boolean): number {
  return bytes * 2 + (fin ? 1 : 0);
}

const buffer = Buffer.alloc(100_000);

describe('reading and writing', () => {
  test('what is written is read, with its end', () => {
    const { client, server, ...pair } = connected();
    expect(client.streamWrite(0, Buffer.from('hello'), false)).toBe(5);
    pair.flush();
    expect(server.streamRead(0, buffer)).toBe(packed(5, false));
    expect(buffer.subarray(0, 5).toString()).toBe('hello');
    expect(server.streamRead(0, buffer)).toBe(BLOCKED);
    expect(client.streamWrite(0, Buffer.from('bye'), true)).toBe(3);
    pair.flush();
    expect(server.streamFinished(0)).toBe(false);
    expect(server.streamRead(0, buffer)).toBe(packed(3, true));
    expect(server.streamFinished(0)).toBe(true);
    expect(server.streamWrite(0, Buffer.from('and you'), true)).toBe(7);
    pair.flush();
    expect(client.streamClosed(0)).toBe(false);
    expect(client.streamRead(0, buffer)).toBe(packed(7, true));
    expect(client.streamClosed(0)).toBe(true);
    expect([client.streamRead(0, buffer), client.streamWrite(0, Buffer.from('.'), false)]).toEqual([
      FINISHED,
      FINISHED,
    ]);
  });

  test('reading can begin anywhere in the buffer, and stays in it', () => {
    const { client, server, ...pair } = connected();
    client.streamWrite(0, Buffer.from('hello'), false);
    pair.flush();
    const small = Buffer.from('..........');
    expect(server.streamRead(0, small, 7)).toBe(packed(3, false));
    expect(server.streamRead(0, small, 2)).toBe(packed(2, false));
    expect(small.toString()).toBe('..lo...hel');
    for (const at of [-1, 0.5, 11, NaN]) expect(() => server.streamRead(0, small, at)).toThrow('at: expected');
  });

  test('an end without data is one', () => {
    const { client, server, ...pair } = connected();
    expect(client.streamWrite(2, Buffer.alloc(0), true)).toBe(0);
    pair.flush();
    expect(server.streamRead(2, buffer)).toBe(packed(0, true));
  });

  test('a stream that never was is finished, and not closed', () => {
    const { client } = connected();
    expect(client.streamRead(4, buffer)).toBe(FINISHED);
    expect(client.streamFinished(4)).toBe(true);
    expect(client.streamClosed(4)).toBe(false);
    expect(client.streamReadable(4)).toBe(false);
    expect(client.streamCapacity(4)).toBe(FINISHED);
  });

  test("what the peer's credit doesn't allow isn't taken, until something is read", () => {
    const { client, server, ...pair } = connected({ server: (c) => c.setInitialMaxStreamDataBidiRemote(1000) });
    expect(client.streamWrite(0, Buffer.alloc(1500), false)).toBe(1000);
    expect(client.streamWrite(0, Buffer.alloc(500), false)).toBe(0);
    pair.flush();
    expect(server.streamRead(0, buffer)).toBe(packed(1000, false));
    pair.flush();
    expect(client.streamWrite(0, Buffer.alloc(500), true)).toBe(500);
  });

  test('streamDiscard drops instead of copying', () => {
    const { client, server, ...pair } = connected();
    client.streamWrite(0, Buffer.from('0123456789'), true);
    pair.flush();
    expect(server.streamDiscard(0, 4)).toBe(packed(4, false));
    expect(server.streamRead(0, buffer)).toBe(packed(6, true));
    expect(buffer.subarray(0, 6).toString()).toBe('456789');
    expect(server.streamDiscard(4, 4)).toBe(FINISHED);
  });
});

describe('shutting down', () => {
  test('Write resets: the peer reads the code', () => {
    const { client, server, ...pair } = connected();
    client.streamWrite(0, Buffer.from('lost'), false);
    pair.flush();
    expect(client.streamShutdown(0, Shutdown.Write, 42)).toBe(true);
    expect(client.streamShutdown(0, Shutdown.Write, 43)).toBe(false);
    pair.flush();
    expect(server.streamRead(0, buffer)).toBe(withCode(42));
    expect(server.stats().resetStreamCountRemote).toBe(1);
    expect(client.stats().resetStreamCountLocal).toBe(1);
  });

  test("Read stops: the peer's next write and capacity answer the code", () => {
    const { client, server, ...pair } = connected();
    client.streamWrite(0, Buffer.from('unwanted'), false);
    pair.flush();
    expect(server.streamShutdown(0, 0, 7)).toBe(true);
    pair.flush();
    expect(client.streamCapacity(0)).toBe(withCode(7));
    expect(client.streamWritable(0, 1)).toBe(true);
    expect(client.streamWrite(0, Buffer.from('more'), false)).toBe(withCode(7));
    expect(client.stats().stoppedStreamCountRemote).toBe(1);
    expect(server.stats().stoppedStreamCountLocal).toBe(1);
  });

  test('codes go up to 2^53-1, and are cut just below', () => {
    const { client, server, ...pair } = connected();
    for (const [id, code] of [
      [0, 0],
      [4, Number.MAX_SAFE_INTEGER - 3],
      [8, Number.MAX_SAFE_INTEGER],
    ] as const) {
      client.streamWrite(id, Buffer.from('.'), false);
      client.streamShutdown(id, Shutdown.Write, code);
    }
    pair.flush();
    expect(server.streamRead(0, buffer)).toBe(withCode(0));
    expect(server.streamRead(4, buffer)).toBe(-Number.MAX_SAFE_INTEGER);
    expect(server.streamRead(8, buffer)).toBe(-Number.MAX_SAFE_INTEGER);
  });

  test('a stream that is not there has nothing to shut down', () => {
    expect(connected().client.streamShutdown(400, Shutdown.Write, 0)).toBe(false);
  });
});

describe('what can be done next', () => {
  test('readable, streamReadable, streamReadableLen, isReadable', () => {
    const { client, server, ...pair } = connected();
    expect([server.readable(), server.isReadable(), server.streamReadable(0)]).toEqual([[], false, false]);
    client.streamWrite(0, Buffer.from('0123456789'), false);
    client.streamWrite(2, Buffer.from('.'), false);
    pair.flush();
    expect(server.readable().sort()).toEqual([0, 2]);
    expect([server.isReadable(), server.streamReadable(0)]).toEqual([true, true]);
    expect([server.streamReadableLen(0, 100), server.streamReadableLen(0, 3)]).toEqual([10, 3]);
    expect(server.streamReadableLen(8, 100)).toBe(0);
  });

  test('streamReadableNext answers each once', () => {
    const { client, server, ...pair } = connected();
    expect(server.streamReadableNext()).toBe(-1);
    client.streamWrite(0, Buffer.from('.'), false);
    pair.flush();
    expect([server.streamReadableNext(), server.streamReadableNext()]).toEqual([0, -1]);
  });

  test('writable, streamWritable, streamCapacity', () => {
    const { client, ...pair } = connected({ server: (c) => c.setInitialMaxStreamDataBidiRemote(1000) });
    expect(client.writable()).toEqual([]);
    client.streamWrite(0, Buffer.alloc(400), false);
    expect(client.writable()).toEqual([0]);
    expect(client.streamCapacity(0)).toBe(600);
    expect([client.streamWritable(0, 600), client.streamWritable(0, 601)]).toEqual([true, false]);
    client.streamWrite(0, Buffer.alloc(600), false);
    expect([client.writable(), client.streamCapacity(0)]).toEqual([[], 0]);
    pair.flush();
  });

  test('streamWritableNext answers a stream when as much as was asked for fits', () => {
    const { client, server, ...pair } = connected({ server: (c) => c.setInitialMaxStreamDataBidiRemote(1000) });
    expect(client.streamWritableNext()).toBe(-1);
    client.streamWrite(0, Buffer.alloc(1000), false);
    expect(client.streamWritable(0, 100)).toBe(false);
    pair.flush();
    expect(client.streamWritableNext()).toBe(-1);
    server.streamRead(0, buffer);
    pair.flush();
    expect([client.streamWritableNext(), client.streamWritableNext()]).toEqual([0, -1]);
  });

  test('streamsLeft counts down, and beyond it nothing is taken', () => {
    const { client, server, ...pair } = connected({
      server: (config) => {
        config.setInitialMaxStreamsBidi(2);
        config.setInitialMaxStreamsUni(1);
      },
    });
    expect([client.streamsLeft(true), client.streamsLeft(false)]).toEqual([2, 1]);
    client.streamWrite(0, Buffer.from('.'), true);
    expect([client.peerStreamsLeftBidi(), client.peerStreamsLeftUni()]).toEqual([1, 1]);
    client.streamWrite(4, Buffer.from('.'), true);
    client.streamWrite(2, Buffer.from('.'), true);
    expect([client.streamsLeft(true), client.peerStreamsLeftUni()]).toEqual([0, 0]);
    expect(client.streamWrite(8, Buffer.from('.'), true)).toBe(0);
    expect(client.stream(8).write(Buffer.alloc(0), true)).toEqual({ kind: 'beyondLimit' });
    // Finished streams make room.
    pair.flush();
    for (const id of [0, 4]) {
      server.streamRead(id, buffer);
      server.streamWrite(id, Buffer.alloc(0), true);
    }
    pair.flush();
    for (const id of [0, 4]) client.streamRead(id, buffer);
    pair.flush();
    expect(client.streamsLeft(true)).toBe(2);
  });

  test('keepWritable keeps the streams that are known and not stopped', () => {
    const { client, server, ...pair } = connected();
    for (const id of [0, 4, 8, 12]) client.streamWrite(id, Buffer.from('.'), id === 4);
    pair.flush();
    // Over in both directions, and stopped.
    server.streamRead(4, buffer);
    server.streamWrite(4, Buffer.alloc(0), true);
    server.streamShutdown(8, Shutdown.Read, 5);
    pair.flush();
    client.streamRead(4, buffer);
    pair.flush();
    const ids = Float64Array.of(0, 4, 8, 12, 16);
    expect(client.keepWritable(ids)).toBe(2);
    expect([...ids.subarray(0, 2)]).toEqual([0, 12]);
    expect(() => client.keepWritable(Float64Array.of(-4))).toThrow('stream id: expected');
  });

  test('streamPriority decides what is sent first', () => {
    const { client, server, ...pair } = connected();
    client.streamWrite(0, Buffer.alloc(1000), false);
    client.streamWrite(4, Buffer.alloc(1000), false);
    client.streamPriority(4, 0, true);
    const [first] = pair.take('client');
    pair.deliver([first]);
    expect(server.streamReadableLen(4, 9999)).toBe(1000);
    expect(server.streamReadableLen(0, 9999)).toBeLessThan(1000);
    expect(codeOf(() => client.streamPriority(4, 256, true))).toBe('OutOfRange');
    expect(codeOf(() => client.streamPriority(1, 0, true))).toBe('InvalidStreamState');
    expect(codeOf(() => client.streamPriority(4000, 0, true))).toBe('StreamLimit');
  });
});

describe('windows grow no further than set', () => {
  /** How much can be sent on one stream when all of it is read at once, turn by turn. */
  function granted(limit: 'connection' | 'stream', max: number): number {
    const { client, server, ...pair } = connected({
      server: (config) => {
        config.setInitialMaxData(10_000);
        config.setInitialMaxStreamDataBidiRemote(10_000);
        if (limit === 'connection') config.setMaxConnectionWindow(max);
        else config.setMaxStreamWindow(max);
      },
      client: (config) => config.setInitialCongestionWindowPackets(1000),
    });
    let largest = 0;
    for (let turn = 0; turn < 20; turn += 1) {
      largest = Math.max(largest, client.streamWrite(0, buffer, false));
      pair.flush();
      server.streamRead(0, buffer);
      pair.flush();
    }
    return largest;
  }

  test.each(['connection', 'stream'] as const)('of a %s', (limit) => {
    expect(granted(limit, 10_000)).toBe(10_000);
    expect(granted(limit, 1_000_000)).toBeGreaterThan(15_000);
  });
});

describe('Stream', () => {
  test('tells what it is', () => {
    const { client } = connected();
    const shown = [0, 1, 2, 3]
      .map((id) => client.stream(id))
      .map((s) => [s.id, s.isServerInitiated, s.isBidirectional]);
    expect(shown).toEqual([
      [0, false, true],
      [1, true, true],
      [2, false, false],
      [3, true, false],
    ]);
    expect(codeOf(() => client.stream(-1))).toBe('OutOfRange');
  });

  test('reads and writes with outcomes as objects', () => {
    const { client, server, ...pair } = connected();
    const [near, far] = [client.stream(0), server.stream(0)];
    expect(far.read(buffer)).toEqual({ kind: 'finished' });
    expect(near.capacity()).toEqual({ kind: 'finished' });
    expect(near.write(Buffer.from('0123456789'))).toEqual({ kind: 'taken', bytes: 10 });
    pair.flush();
    expect([far.isReadable(), far.readableLength(100), far.readableLength(4)]).toEqual([true, 10, 4]);
    expect(far.discard(1)).toEqual({ kind: 'data', bytes: 1, fin: false });
    expect(far.read(buffer)).toEqual({ kind: 'data', bytes: 9, fin: false });
    expect(far.read(buffer)).toEqual({ kind: 'blocked' });
    expect([near.isFinished(), near.isClosed()]).toEqual([false, false]);
    expect(near.end(Buffer.from('!'))).toEqual({ kind: 'taken', bytes: 1 });
    expect(near.write(Buffer.from('?'))).toEqual({ kind: 'finished' });
    pair.flush();
    expect(far.read(buffer)).toEqual({ kind: 'data', bytes: 1, fin: true });
    expect(far.isFinished()).toBe(true);
    expect(far.end()).toEqual({ kind: 'taken', bytes: 0 });
    pair.flush();
    expect(near.read(buffer)).toEqual({ kind: 'data', bytes: 0, fin: true });
    expect([near.isClosed(), near.read(buffer)]).toEqual([true, { kind: 'finished' }]);
  });

  test('resets and stops', () => {
    const { client, server, ...pair } = connected();
    const [near, far] = [client.stream(0), server.stream(0)];
    near.write(Buffer.from('.'));
    pair.flush();
    expect(near.shutdown(Shutdown.Write, 5)).toBe(true);
    expect(near.shutdown(Shutdown.Read, 6)).toBe(true);
    pair.flush();
    expect(far.read(buffer)).toEqual({ kind: 'reset', code: 5 });
    expect(far.write(Buffer.from('.'))).toEqual({ kind: 'stopped', code: 6 });
  });

  test('asks for room, and for its turn', () => {
    const { client, server, ...pair } = connected({ server: (c) => c.setInitialMaxStreamDataBidiRemote(1000) });
    const stream = client.stream(4);
    client.streamWrite(0, Buffer.alloc(1000), false);
    stream.write(Buffer.alloc(1000));
    expect([stream.isWritable(), stream.isWritable(5)]).toEqual([false, false]);
    expect(stream.capacity()).toEqual({ kind: 'taken', bytes: 0 });
    stream.priority(0, false);
    pair.deliver(pair.take('client').slice(0, 1));
    expect(server.streamReadableLen(4, 9999)).toBe(1000);
    pair.flush();
    server.streamRead(4, buffer);
    pair.flush();
    expect([stream.isWritable(), stream.isWritable(5)]).toEqual([true, true]);
  });
});

/** A connected pair whose methods can be taken off it. */
function connected(options?: ConstructorParameters<typeof RawPair>[0]) {
  const pair = RawPair.connected(options);
  return {
    client: pair.client,
    server: pair.server,
    flush: () => pair.flush(),
    take: (by: 'client' | 'server') => pair.take(by),
    deliver: (packets: Parameters<RawPair['deliver']>[0]) => pair.deliver(packets),
  };
}
