import dgram from 'node:dgram';
import { once } from 'node:events';
import os from 'node:os';
import { QUICServer, QUICSocket, errors, events } from '../lib';
import { HOST, MemoryNetwork } from './helpers/memoryTransport';
import { authority, createPair, nextEvent, recordEvents, startSocket } from './helpers/pair';

const hasIPv6 = Object.values(os.networkInterfaces()).some((all) => all?.some(({ family }) => family === 'IPv6'));
const onIPv6 = hasIPv6 ? describe : describe.skip;

describe('starting and stopping', () => {
  test('binds, tells so, and frees the address', async () => {
    const socket = new QUICSocket();
    const names = recordEvents(socket);
    expect(() => socket.host).toThrow(errors.ErrorQUICSocketNotRunning);
    expect(socket.closed).toBe(true);
    await socket.start({ host: '127.0.0.1' });
    expect([socket.host, socket.type, socket.closed]).toEqual(['127.0.0.1', 'ipv4', false]);
    expect(socket.port).toBeGreaterThan(0);
    const { closedP } = socket;
    await socket.stop();
    await closedP;
    expect(() => socket.port).toThrow(errors.ErrorQUICSocketNotRunning);
    expect(names).toEqual([
      'EventQUICSocketStart',
      'EventQUICSocketStarted',
      'EventQUICSocketStop',
      'EventQUICSocketClose',
      'EventQUICSocketStopped',
    ]);
  });

  test('can be repeated on the same port', async () => {
    const socket = new QUICSocket();
    await socket.start({ host: '127.0.0.1' });
    const { port } = socket;
    for (let i = 0; i < 20; i++) {
      await socket.stop();
      await socket.start({ host: '127.0.0.1', port });
    }
    expect(socket.port).toBe(port);
    await socket.stop();
  });

  test('can be asked for several times at once', async () => {
    const socket = new QUICSocket();
    await socket.stop();
    await Promise.all([socket.start({ host: '127.0.0.1' }), socket.start(), socket.start()]);
    const { port } = socket;
    await socket.start({ host: '127.0.0.1' });
    expect(socket.port).toBe(port);
    await Promise.all([socket.stop(), socket.stop(), socket.stop({ force: true })]);
    await socket.stop();
    await Promise.all([socket.start({ host: '127.0.0.1' }), socket.stop()]);
    expect(socket.closed).toBe(true);
    await Promise.all([socket.start({ host: '127.0.0.1' }), socket.stop(), socket.start({ host: '127.0.0.1' })]);
    await socket.stop();
  });

  test('ends as the last call wants it', async () => {
    const socket = new QUICSocket();
    const start = () => socket.start({ host: '127.0.0.1' });
    await start();
    await Promise.all([socket.stop(), start(), socket.stop()]);
    expect(socket.closed).toBe(true);
    await Promise.all([start(), socket.stop(), start()]);
    expect(socket.closed).toBe(false);
    await Promise.all([start(), socket.stop(), start(), socket.stop()]);
    expect(socket.closed).toBe(true);
  });

  test('by force is not refused for one that is refused without', async () => {
    const clientSocket = await startSocket();
    await using pair = await createPair({ clientSocket });
    const gentle = clientSocket.stop();
    await Promise.all([
      expect(gentle).rejects.toThrow(errors.ErrorQUICSocketConnectionsActive),
      clientSocket.stop({ force: true }),
    ]);
    expect(clientSocket.closed).toBe(true);
    await pair.client.closedP;
  });

  test('is told when it can be used', async () => {
    const socket = new QUICSocket();
    const server = new QUICServer({ config: authority().issue(), socket });
    const started = new Promise((resolve) => {
      socket.addEventListener(events.EventQUICSocketStarted.name, () => resolve(server.start()));
    });
    await socket.start({ host: '127.0.0.1' });
    await started;
    await server.stop();
    await socket.stop();
  });

  test('ends though what it is bound to fails to close', async () => {
    const network = new MemoryNetwork();
    const socket = new QUICSocket({
      openTransport: async (options) => {
        const transport = await network.open(options);
        return Object.assign(transport, { close: () => Promise.reject(new Error('stuck')) });
      },
    });
    await socket.start({ host: HOST });
    await socket.stop();
    expect(socket.closed).toBe(true);
  });

  test('by await using', async () => {
    let port: number;
    {
      await using socket = await startSocket();
      port = socket.port;
    }
    await using again = new QUICSocket();
    await again.start({ host: '127.0.0.1', port });
  });

  test('resolves names, by the function it was given', async () => {
    await using socket = new QUICSocket({ resolveHostname: (name) => (name === 'here' ? '127.0.0.1' : 'nowhere') });
    await socket.start({ host: 'here' });
    expect(socket.host).toBe('127.0.0.1');
    await expect(socket.send(Buffer.from('x'), 1, 'elsewhere')).rejects.toThrow(errors.ErrorQUICHostInvalid);
  });

  test.each([
    ['an address that is not ours', { host: '192.0.2.1' }, errors.ErrorQUICSocketInvalidBindAddress],
    ['a name that is none', { host: 'no such name' }, errors.ErrorQUICHostInvalid],
    ['a port that is none', { host: '127.0.0.1', port: 65_536 }, errors.ErrorQUICPortInvalid],
    ['a port that is no integer', { host: '127.0.0.1', port: 1.5 }, errors.ErrorQUICPortInvalid],
  ])('refuses %s', async (_, options, error) => {
    const socket = new QUICSocket();
    await expect(socket.start(options)).rejects.toThrow(error);
    await socket.start({ host: '127.0.0.1' });
    await socket.stop();
  });

  test('refuses a port in use, and says so', async () => {
    await using first = await startSocket();
    const second = new QUICSocket();
    const refused = second.start({ host: '127.0.0.1', port: first.port });
    await expect(refused).rejects.toThrow(errors.ErrorQUICSocketInvalidBindAddress);
    await expect(refused).rejects.toThrow('EADDRINUSE');
    await expect(refused).rejects.toMatchObject({ code: 'SocketInvalidBindAddress' });
  });

  test('with reuseAddr two sockets share a port', async () => {
    await using first = new QUICSocket();
    await first.start({ host: '127.0.0.1', reuseAddr: true });
    await using second = new QUICSocket();
    await second.start({ host: '127.0.0.1', port: first.port, reuseAddr: true });
    expect(second.port).toBe(first.port);
  });

  test('shows the socket buffers that the system granted', async () => {
    await using socket = await startSocket({ recvBufferSize: 100_000, sendBufferSize: 100_000 });
    expect(socket.stats!.transport.recvBufferSize).toBeGreaterThanOrEqual(100_000);
    expect(socket.stats!.transport.sendBufferSize).toBeGreaterThanOrEqual(100_000);
  });

  test('needs force while connections are alive', async () => {
    const socket = await startSocket();
    const pair = await createPair({ serverSocket: socket });
    await expect(socket.stop()).rejects.toThrow(errors.ErrorQUICSocketConnectionsActive);
    expect(socket.closed).toBe(false);
    await pair[Symbol.asyncDispose]();
    await socket.stop();
  });
});

describe('bare datagrams', () => {
  /** Something that isn't ours. */
  async function createReceiver(type: 'udp4' | 'udp6' = 'udp4', address = '127.0.0.1') {
    const receiver = dgram.createSocket({ type });
    receiver.bind(0, address);
    await once(receiver, 'listening');
    return {
      port: receiver.address().port,
      receiver,
      next: async () => {
        const [data, from] = (await once(receiver, 'message')) as [Buffer, dgram.RemoteInfo];
        return { data: data.toString(), from };
      },
      [Symbol.dispose]: () => void receiver.close(),
    };
  }

  test('go out from the port of the socket', async () => {
    await using socket = await startSocket();
    using to = await createReceiver();
    const received = to.next();
    expect(await socket.send(Buffer.from('hello'), to.port, '127.0.0.1')).toBe(5);
    const { data, from } = await received;
    expect([data, from.address, from.port]).toEqual(['hello', '127.0.0.1', socket.port]);
  });

  test.each([
    ['a string', ['hello'], 'hello'],
    ['parts', [['he', Buffer.from('llo')]], 'hello'],
    ['a slice', [Buffer.from('say hello now'), 4, 5], 'hello'],
    ['a slice of a string', ['say hello now', 4, 5], 'hello'],
  ])('can be %s', async (_, data, expected) => {
    await using socket = await startSocket();
    using to = await createReceiver();
    const received = to.next();
    const send = socket.send.bind(socket) as (...args: unknown[]) => Promise<number>;
    expect(await send(...data, to.port, '127.0.0.1')).toBe(expected.length);
    expect((await received).data).toBe(expected);
  });

  test('to the zero address go to this host', async () => {
    await using socket = await startSocket();
    using to = await createReceiver();
    const received = to.next();
    await socket.send(Buffer.from('hello'), to.port, '0.0.0.0');
    expect((await received).data).toBe('hello');
  });

  test.each([
    ['no host', [Buffer.from('x'), 1], TypeError],
    ['no port', [Buffer.from('x'), undefined, '127.0.0.1'], TypeError],
    ['port 0', [Buffer.from('x'), 0, '127.0.0.1'], RangeError],
    ['a port that is none', [Buffer.from('x'), 70_000, '127.0.0.1'], RangeError],
    ['no data', [undefined, 1, '127.0.0.1'], TypeError],
    ['a slice that is not there', [Buffer.from('x'), 1, 1, 1, '127.0.0.1'], RangeError],
    ['an IPv6 target from an IPv4 socket', [Buffer.from('x'), 1, '::1'], errors.ErrorQUICSocketInvalidSendAddress],
  ])('with %s are refused', async (_, args, error) => {
    await using socket = await startSocket();
    const send = socket.send.bind(socket) as (...args: unknown[]) => Promise<number>;
    await expect(send(...args)).rejects.toThrow(error);
  });

  test('need a running socket', async () => {
    const socket = new QUICSocket();
    await expect(socket.send(Buffer.from('x'), 1, '127.0.0.1')).rejects.toThrow(errors.ErrorQUICSocketNotRunning);
  });

  test('of strangers are told, with a sender that can be answered', async () => {
    await using socket = await startSocket();
    using stranger = await createReceiver();
    const told = nextEvent<events.EventQUICSocketDatagram>(socket, events.EventQUICSocketDatagram);
    stranger.receiver.send('who are you?', socket.port, '127.0.0.1');
    const { data, host, port } = (await told).detail;
    expect([Buffer.from(data).toString(), host, port]).toEqual(['who are you?', '127.0.0.1', stranger.port]);
    const answered = stranger.next();
    await socket.send('nobody', port, host);
    expect((await answered).data).toBe('nobody');
  });

  test('of strangers get no answer, and are counted', async () => {
    await using pair = await createPair();
    using stranger = await createReceiver();
    let answers = 0;
    stranger.receiver.on('message', () => (answers += 1));
    for (let first = 0; first < 256; first++) {
      stranger.receiver.send(
        Buffer.from([first, ...Array.from({ length: 31 }, () => 0x5a)]),
        pair.server.port,
        '127.0.0.1',
      );
    }
    // The connection answers, so that all before it has been looked at.
    const stream = pair.near.newStream();
    const opened = nextEvent<events.EventQUICConnectionStream>(pair.far, events.EventQUICConnectionStream);
    await stream.end(Buffer.from('x'));
    await opened;
    expect(answers).toBe(0);
  });

  onIPv6('over IPv6', () => {
    test('a socket on :: speaks both, and shows IPv4 as IPv4', async () => {
      await using socket = new QUICSocket();
      await socket.start();
      expect([socket.host, socket.type]).toEqual(['::', 'ipv4&ipv6']);
      using v4 = await createReceiver();
      using v6 = await createReceiver('udp6', '::1');
      const received = [v4.next(), v6.next()];
      await socket.send('four', v4.port, '127.0.0.1');
      await socket.send('six', v6.port, '::1');
      expect((await Promise.all(received)).map(({ data }) => data)).toEqual(['four', 'six']);
      for (const [peer, address] of [
        [v4, '127.0.0.1'],
        [v6, '::1'],
      ] as const) {
        const told = nextEvent<events.EventQUICSocketDatagram>(socket, events.EventQUICSocketDatagram);
        peer.receiver.send('x', socket.port, address);
        expect((await told).detail).toMatchObject({ host: address, port: peer.port });
      }
    });

    test.each([
      ['127.0.0.1', false, 'ipv4', ['127.0.0.1', '::ffff:127.0.0.1', '::ffff:7f00:1', '0.0.0.0'], ['::1', '::']],
      ['::1', false, 'ipv6', ['::1', '::'], ['127.0.0.1', '::ffff:127.0.0.1', '0.0.0.0']],
      ['::', true, 'ipv6', ['::1', '::'], ['127.0.0.1', '::ffff:127.0.0.1', '0.0.0.0']],
      ['::', false, 'ipv4&ipv6', ['127.0.0.1', '::ffff:127.0.0.1', '::1', '::', '0.0.0.0'], []],
      ['::ffff:127.0.0.1', false, 'ipv4', ['127.0.0.1'], ['::1']],
    ])('a socket on %s (ipv6Only: %s) is %s and reaches its own', async (host, ipv6Only, type, reached, refused) => {
      await using socket = new QUICSocket();
      await socket.start({ host, ipv6Only });
      expect(socket.type).toBe(type);
      for (const target of reached) {
        const isFour = target.includes('.') || target === '::ffff:7f00:1';
        using to = await createReceiver(isFour ? 'udp4' : 'udp6', isFour ? '127.0.0.1' : '::1');
        const received = to.next();
        await socket.send('x', to.port, target);
        await received;
      }
      for (const target of refused) {
        await expect(socket.send('x', 1, target)).rejects.toThrow(errors.ErrorQUICSocketInvalidSendAddress);
      }
    });
  });
});

test('ref and unref answer the socket, started or not', async () => {
  const socket = new QUICSocket();
  expect(socket.unref().ref().unref()).toBe(socket);
  await socket.start({ host: '127.0.0.1' });
  expect(socket.ref()).toBe(socket);
  await socket.stop();
});
