import type { Host, Port } from '../lib';
import { randomBytes } from 'node:crypto';
import dgram from 'node:dgram';
import { QUICClient, QUICServer, QUICSocket, errors, events } from '../lib';
import AddressBook from '../lib/transport/AddressBook';
import DgramTransport from '../lib/transport/dgram';
import { Endpoint } from '../lib/native';
import { HOST, MemoryNetwork } from './helpers/memoryTransport';
import { authority, createPair, echo, nextEvent, readAll, startSocket } from './helpers/pair';

/** A server that echoes and a client, over a network in memory. */
async function createMemoryPair(network: MemoryNetwork) {
  const [near, far] = [1, 2].map(() => new QUICSocket({ openTransport: network.open }));
  await near.start();
  await far.start();
  const server = new QUICServer({ config: authority().issue({ ipAddresses: [HOST] }), socket: far });
  await server.start();
  server.addEventListener(events.EventQUICServerConnection.name, ({ detail }: events.EventQUICServerConnection) =>
    echo(detail),
  );
  const config = { ca: authority().ca };
  const client = await QUICClient.createQUICClient({ host: HOST, port: server.port, socket: near, config });
  return {
    near,
    far,
    server,
    client,
    async [Symbol.asyncDispose]() {
      await client.destroy();
      await server.stop();
      await near.stop();
      await far.stop();
    },
  };
}

describe('over memory instead of UDP', () => {
  test('an echo comes back', async () => {
    await using pair = await createMemoryPair(new MemoryNetwork());
    const stream = pair.client.connection.newStream();
    const sent = randomBytes(1_000_000);
    const received = readAll(stream);
    await stream.end(sent);
    expect((await received).equals(sent)).toBe(true);
    expect([pair.client.localHost, pair.client.host, pair.near.type]).toEqual([HOST, HOST, 'ipv4']);
    expect(pair.near.stats!.transport.datagramsSent).toBeGreaterThan(700);
  });

  test('an echo comes back although every tenth datagram is lost', async () => {
    const network = new MemoryNetwork();
    let count = 0;
    network.isLost = () => ++count % 10 === 0;
    await using pair = await createMemoryPair(network);
    const streams = Array.from({ length: 10 }, () => pair.client.connection.newStream());
    const sent = randomBytes(20_000);
    const received = streams.map((stream) => readAll(stream));
    await Promise.all(streams.map((stream) => stream.end(sent)));
    for (const all of await Promise.all(received)) expect(all.equals(sent)).toBe(true);
    expect(pair.client.connection.stats.lost).toBeGreaterThan(0);
  }, 60_000);

  test('bare datagrams and strays go too', async () => {
    await using pair = await createMemoryPair(new MemoryNetwork());
    const told = nextEvent<events.EventQUICSocketDatagram>(pair.far, events.EventQUICSocketDatagram);
    await pair.near.send('hello', pair.far.port, HOST);
    const { data, host, port } = (await told).detail;
    expect([Buffer.from(data).toString(), host, port]).toEqual(['hello', HOST, pair.near.port]);
  });

  test('a transport that can not be bound is an address that can not be', async () => {
    const network = new MemoryNetwork();
    const [first, second] = [1, 2].map(() => new QUICSocket({ openTransport: network.open }));
    await first.start();
    await expect(second.start({ port: first.port })).rejects.toThrow(errors.ErrorQUICSocketInvalidBindAddress);
    await first.stop();
  });
});

test('a transport that dies ends the socket and tells who uses it', async () => {
  const network = new MemoryNetwork();
  let die: (error: Error) => void = () => undefined;
  const socket = new QUICSocket({
    openTransport: async (options) => {
      const transport = await network.open(options);
      const start = transport.start.bind(transport);
      transport.start = (sink) => {
        die = (error) => sink.onDead(error);
        start(sink);
      };
      return transport;
    },
  });
  await socket.start();
  const server = new QUICServer({ config: authority().issue(), socket });
  await server.start();
  const heard = [
    nextEvent<events.EventQUICSocketError>(socket, events.EventQUICSocketError),
    nextEvent<events.EventQUICServerError>(server, events.EventQUICServerError),
  ] as const;
  const stopped = nextEvent(socket, events.EventQUICSocketStopped);
  die(new Error('pulled out'));
  expect((await heard[0]).detail).toMatchObject({ code: 'SocketInternal', cause: { message: 'pulled out' } });
  expect((await heard[1]).detail).toBeInstanceOf(errors.ErrorQUICServerSocketNotRunning);
  await stopped;
  expect(socket.closed).toBe(true);
});

test('datagrams that can not be sent are counted, and end nothing', async () => {
  await using socket = await startSocket();
  // The socket is bound to loopback: the system refuses.
  const dial = QUICClient.createQUICClient({ host: '192.0.2.1', port: 4433, socket }, { timer: 200 });
  await expect(dial).rejects.toThrow(errors.ErrorQUICClientCreateTimeout);
  expect(socket.stats!.transport.sendsFailed).toBeGreaterThan(0);
  expect(socket.stats!.endpoint.sendFailures).toBeGreaterThan(0);
  await using pair = await createPair({ clientSocket: socket });
  expect(pair.client.closed).toBe(false);
});

describe('the address book', () => {
  test('gives each address one number, and forgets them when there are too many', () => {
    const endpoint = new Endpoint();
    endpoint.setLocalAddress('127.0.0.1', 1);
    const book = new AddressBook(false);
    const first = book.id(endpoint, '127.0.0.1', 1000);
    expect(book.id(endpoint, '127.0.0.1', 1000)).toBe(first);
    expect(book.id(endpoint, '127.0.0.1', 1001)).not.toBe(first);
    expect(book.target(endpoint, first)).toEqual({ host: '127.0.0.1', port: 1000 });
    for (let port = 1; port <= 5000; port++) book.id(endpoint, '127.0.0.2', port);
    book.trim(endpoint);
    expect(book.id(endpoint, '127.0.0.3', 1)).toBeLessThan(10);
    endpoint.close();
  });

  test('reaches IPv4 from an IPv6 socket in its mapped form', () => {
    const endpoint = new Endpoint();
    endpoint.setLocalAddress('::', 1);
    const book = new AddressBook(true);
    const id = book.id(endpoint, '::ffff:127.0.0.1', 1000);
    expect(book.id(endpoint, '127.0.0.1', 1000)).toBe(id);
    expect(book.target(endpoint, id)).toEqual({ host: '::ffff:127.0.0.1', port: 1000 });
    endpoint.close();
  });
});

test('what waits in a socket of node:dgram is taken in by fewer turns than dgram reads it in', async () => {
  const COUNT = 160;
  const options = { port: 0 as Port, reuseAddr: false, ipv6Only: false, recvBufferSize: 1 << 20, sendBufferSize: 0 };
  const transport = await DgramTransport.open({ ...options, host: '127.0.0.1' as Host });
  const endpoint = new Endpoint();
  endpoint.setLocalAddress(HOST, transport.address.port);
  endpoint.setChangesBuffer(new Float64Array(300));
  const turns: number[] = [];
  const sender = dgram.createSocket('udp4');
  await new Promise<void>((resolve) => {
    transport.start({
      onReceivable() {
        const before = endpoint.stats().received;
        transport.receive(endpoint);
        turns.push(endpoint.stats().received - before);
        if (endpoint.stats().received === COUNT) resolve();
      },
      onUnblocked: () => undefined,
      onDead: (error) => {
        throw error;
      },
    });
    sender.bind(0, '127.0.0.1', () => {
      for (let i = 0; i < COUNT; i++) sender.send(Buffer.alloc(100, i), transport.address.port, '127.0.0.1');
    });
  });
  expect(turns.length).toBeLessThan(COUNT / 32);
  sender.close();
  await transport.close();
});
