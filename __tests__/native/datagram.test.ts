import type { Config } from '../../index.js';

import { RawPair, codeOf } from '../helpers/rawPair';

const buffer = Buffer.alloc(2000);

function connected(receive = 10, send = 10): RawPair {
  const enable = (config: Config): void => config.enableDgram(true, receive, send);
  return RawPair.connected({ client: enable, server: enable });
}

test('what is sent is received, in its bounds', () => {
  const { client, server } = flushing(connected(), (pair) => {
    expect(pair.client.dgramSend(Buffer.from('one'))).toBe(true);
    expect(pair.client.dgramSend(Buffer.from('three'))).toBe(true);
    expect(pair.client.dgramSend(Buffer.alloc(0))).toBe(true);
    expect([pair.client.dgramSendQueueLen(), pair.client.dgramSendQueueByteSize()]).toEqual([3, 8]);
  });
  expect([client.dgramSendQueueLen(), client.dgramSendQueueByteSize()]).toEqual([0, 0]);
  expect([server.dgramRecvQueueLen(), server.dgramRecvQueueByteSize(), server.isReadable()]).toEqual([3, 8, true]);
  expect(server.dgramRecvFrontLen()).toBe(3);
  expect(server.dgramRecv(buffer)).toBe(3);
  expect(buffer.subarray(0, 3).toString()).toBe('one');
  expect([server.dgramRecvFrontLen(), server.dgramRecv(buffer), server.dgramRecv(buffer)]).toEqual([5, 5, 0]);
  expect([server.dgramRecv(buffer), server.dgramRecvFrontLen()]).toEqual([-1, null]);
  expect([client.stats().dgramSent, server.stats().dgramRecv]).toEqual([3, 3]);
  expect([client.pathStats()[0].dgramSent, server.pathStats()[0].dgramRecv]).toEqual([3, 3]);
});

test('a peek leaves the datagram', () => {
  const { server } = flushing(connected(), ({ client }) => client.dgramSend(Buffer.from('0123456789')));
  const short = Buffer.alloc(4);
  expect(server.dgramRecvPeek(short)).toBe(4);
  expect(short.toString()).toBe('0123');
  expect(server.dgramRecvPeek(buffer)).toBe(10);
  expect(server.dgramRecv(buffer)).toBe(10);
  expect(server.dgramRecvPeek(buffer)).toBe(-1);
});

test('one that does not fit into the buffer stays', () => {
  const { server } = flushing(connected(), ({ client }) => client.dgramSend(Buffer.from('0123456789')));
  expect(codeOf(() => server.dgramRecv(Buffer.alloc(9)))).toBe('BufferTooShort');
  expect(server.dgramRecv(Buffer.alloc(10))).toBe(10);
});

test('the oldest in a full queue to send from makes room', () => {
  const pair = connected(10, 2);
  const { server } = flushing(pair, ({ client }) => {
    expect(client.dgramDropOldest()).toBe(false);
    for (const n of [1, 2]) client.dgramSend(Buffer.from([n]));
    expect(client.dgramDropOldest()).toBe(true);
    expect(client.dgramSend(Buffer.from([3]))).toBe(true);
  });
  const received = [server.dgramRecv(buffer), buffer[0], server.dgramRecv(buffer), buffer[0]];
  expect(received).toEqual([1, 2, 1, 3]);
});

test('a full queue to send from takes no more', () => {
  const { client } = connected(10, 2);
  expect(client.isDgramSendQueueFull()).toBe(false);
  expect([1, 2, 3].map((n) => client.dgramSend(Buffer.from([n])))).toEqual([true, true, false]);
  expect(client.isDgramSendQueueFull()).toBe(true);
});

test('a full queue of received ones drops the oldest', () => {
  const pair = connected(2, 10);
  const { server } = flushing(pair, ({ client }) => {
    expect(pair.server.isDgramRecvQueueFull()).toBe(false);
    for (const n of [1, 2, 3]) client.dgramSend(Buffer.from([n]));
  });
  expect(server.isDgramRecvQueueFull()).toBe(true);
  const got = [server.dgramRecv(buffer), buffer[0], server.dgramRecv(buffer), buffer[0], server.dgramRecv(buffer)];
  expect(got).toEqual([1, 2, 1, 3, -1]);
});

test('the largest that fits is told, and sent', () => {
  const pair = connected();
  const max = pair.client.dgramMaxWritableLen()!;
  expect(max).toBeGreaterThan(1100);
  expect(codeOf(() => pair.client.dgramSend(Buffer.alloc(max + 1)))).toBe('DatagramTooLarge');
  const { server } = flushing(pair, ({ client }) => expect(client.dgramSend(Buffer.alloc(max, 7))).toBe(true));
  expect(server.dgramRecv(buffer)).toBe(max);
});

test('many are taken by one call, as far as they fit', () => {
  const { server } = flushing(connected(), ({ client }) => {
    for (const text of ['one', '', 'three', 'four']) client.dgramSend(Buffer.from(text));
  });
  const [bytes, lengths] = [Buffer.alloc(9), new Int32Array(8)];
  expect(codeOf(() => server.dgramRecvMany(bytes.subarray(0, 2), lengths))).toBe('BufferTooShort');
  expect([server.dgramRecvMany(bytes, lengths), ...lengths.subarray(0, 3)]).toEqual([3, 3, 0, 5]);
  expect(bytes.toString('latin1', 0, 8)).toBe('onethree');
  expect([server.dgramRecvMany(bytes, lengths), lengths[0], server.dgramRecvMany(bytes, lengths)]).toEqual([1, 4, 0]);
});

test('a peer that takes none is not sent any', () => {
  const { client, server } = RawPair.connected({ client: (config) => config.enableDgram(true, 10, 10) });
  expect(client.dgramMaxWritableLen()).toBeNull();
  expect(codeOf(() => client.dgramSend(Buffer.from('.')))).toBe('DatagramsUnsupported');
  expect(server.dgramMaxWritableLen()).not.toBeNull();
});

describe('dgramPurgeOutgoing', () => {
  test('drops what the predicate dooms', () => {
    const { server } = flushing(connected(), ({ client }) => {
      for (const n of [1, 2, 3, 2]) client.dgramSend(Buffer.from([n]));
      expect(client.dgramPurgeOutgoing((datagram) => datagram[0] === 2)).toBe(2);
      expect(client.dgramSendQueueLen()).toBe(2);
    });
    const got = [server.dgramRecv(buffer), buffer[0], server.dgramRecv(buffer), buffer[0], server.dgramRecv(buffer)];
    expect(got).toEqual([1, 1, 1, 3, -1]);
  });

  test('the predicate may use the connection', () => {
    const { client } = connected();
    client.dgramSend(Buffer.from([1]));
    const dropped = client.dgramPurgeOutgoing((datagram) => {
      if (datagram[0] === 1) client.dgramSend(Buffer.from([9]));
      return true;
    });
    expect([dropped, client.dgramSendQueueLen()]).toEqual([1, 1]);
  });

  test('what the predicate throws comes through as it is, and nothing is dropped', () => {
    const { client } = connected();
    client.dgramSend(Buffer.from([1]));
    const error = new Error('from the predicate');
    const purge = (): number =>
      client.dgramPurgeOutgoing(() => {
        throw error;
      });
    expect(purge).toThrow(error);
    expect(client.dgramSendQueueLen()).toBe(1);
  });
});

/** Does something and moves all datagrams. */
function flushing(pair: RawPair, act: (pair: RawPair) => unknown): RawPair {
  act(pair);
  pair.flush();
  return pair;
}
