// A name with several addresses, as RFC 8305 wants them tried.

import type { Host } from '../lib';
import type { Abortable } from '../lib/utils/promise';
import dgram from 'node:dgram';
import { once } from 'node:events';
import os from 'node:os';
import { QUICClient, QUICServer, QUICSocket, errors } from '../lib';
import tryInTurn from '../lib/attempts';
import { promise } from '../lib/utils/promise';
import { authority } from './helpers/pair';

const hasIPv6 = Object.values(os.networkInterfaces()).some((all) => all?.some(({ family }) => family === 'IPv6'));
const onBoth = hasIPv6 ? describe : describe.skip;

const hosts = (...names: string[]): Host[] => names as Host[];

describe('attempts', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  /** Attempts that end when they are told to. */
  function controlled() {
    const started: string[] = [];
    const aborted: string[] = [];
    const discarded: string[] = [];
    const ends = new Map<string, ReturnType<typeof promise<string>>>();
    const start = async (host: Host, signal: Abortable): Promise<string> => {
      started.push(host);
      const end = promise<string>();
      ends.set(host, end);
      signal.addEventListener('abort', () => {
        aborted.push(host);
        end.rejectP(signal.reason);
      });
      return end.p;
    };
    return {
      started,
      aborted,
      discarded,
      ends,
      attempt: { start, discard: (late: string) => void discarded.push(late) },
    };
  }

  test('begin 250 ms apart, the families by turns, that of the first address first, each address once', async () => {
    const { started, attempt, ends } = controlled();
    const outcome = tryInTurn(hosts('::1', '::2', '::1', '10.0.0.1', '::3', '10.0.0.2'), attempt);
    const order = ['::1', '10.0.0.1', '::2', '10.0.0.2', '::3'];
    for (let count = 1; count <= order.length; count++) {
      expect(started).toEqual(order.slice(0, count));
      await jest.advanceTimersByTimeAsync(249);
      expect(started).toHaveLength(count);
      await jest.advanceTimersByTimeAsync(1);
    }
    ends.get('::2')!.resolveP('the winner');
    expect(await outcome).toBe('the winner');
  });

  test('begin at once when the last one has failed', async () => {
    const { started, attempt, ends } = controlled();
    const outcome = tryInTurn(hosts('10.0.0.1', '10.0.0.2'), attempt);
    await jest.advanceTimersByTimeAsync(100);
    ends.get('10.0.0.1')!.rejectP(new Error('refused'));
    await jest.advanceTimersByTimeAsync(0);
    expect(started).toEqual(['10.0.0.1', '10.0.0.2']);
    ends.get('10.0.0.2')!.resolveP('the winner');
    expect(await outcome).toBe('the winner');
    expect(jest.getTimerCount()).toBe(0);
  });

  test('end when one has won, and none begins after it', async () => {
    const { started, aborted, attempt, ends } = controlled();
    const outcome = tryInTurn(hosts('10.0.0.1', '10.0.0.2', '10.0.0.3'), attempt);
    await jest.advanceTimersByTimeAsync(250);
    ends.get('10.0.0.1')!.resolveP('the winner');
    expect(await outcome).toBe('the winner');
    await jest.advanceTimersByTimeAsync(1000);
    expect([started, aborted]).toEqual([hosts('10.0.0.1', '10.0.0.2'), hosts('10.0.0.1', '10.0.0.2')]);
    expect(jest.getTimerCount()).toBe(0);
  });

  test('that succeed too late are discarded', async () => {
    const { discarded, attempt, ends } = controlled();
    const outcome = tryInTurn(hosts('10.0.0.1', '10.0.0.2'), attempt);
    await jest.advanceTimersByTimeAsync(250);
    ends.get('10.0.0.2')!.resolveP('the winner');
    ends.get('10.0.0.1')!.resolveP('the other');
    expect(await outcome).toBe('the winner');
    await jest.advanceTimersByTimeAsync(0);
    expect(discarded).toEqual(['the other']);
  });

  test('reject with all failures, when the last one is over', async () => {
    const { attempt, ends } = controlled();
    let isOver = false;
    const outcome = tryInTurn(hosts('10.0.0.1', '10.0.0.2'), attempt).catch((error: unknown) => {
      isOver = true;
      return error;
    });
    await jest.advanceTimersByTimeAsync(250);
    const [one, other] = [new Error('one'), new Error('other')];
    ends.get('10.0.0.2')!.rejectP(other);
    await jest.advanceTimersByTimeAsync(0);
    expect(isOver).toBe(false);
    ends.get('10.0.0.1')!.rejectP(one);
    expect(await outcome).toMatchObject({ name: 'AggregateError', errors: [other, one] });
  });

  test('reject with the very reason of a signal, and begin no more', async () => {
    const { started, attempt } = controlled();
    const controller = new AbortController();
    const outcome = tryInTurn(hosts('10.0.0.1', '10.0.0.2', '10.0.0.3'), attempt, controller.signal);
    await jest.advanceTimersByTimeAsync(250);
    const reason = Symbol('enough');
    controller.abort(reason);
    await expect(outcome).rejects.toBe(reason);
    expect(started).toHaveLength(2);
    expect(jest.getTimerCount()).toBe(0);
    await expect(tryInTurn(hosts('10.0.0.1'), attempt, controller.signal)).rejects.toBe(reason);
    expect(started).toHaveLength(2);
  });
});

/** Hears what comes to an address, and never answers. */
async function listenInSilence(host: string, port = 0) {
  const socket = dgram.createSocket(host.includes(':') ? 'udp6' : 'udp4');
  socket.bind(port, host);
  await once(socket, 'listening');
  return { port: socket.address().port, heard: once(socket, 'message'), [Symbol.dispose]: () => void socket.close() };
}

/** Serves on one port of an address. */
async function serve(host: string, config: object = {}): Promise<QUICServer> {
  const server = new QUICServer({ config: { ...authority().issue(), ...config } });
  await server.start({ host });
  return server;
}

/** A socket for both families. */
async function startSocket(options: ConstructorParameters<typeof QUICSocket>[0] = {}): Promise<QUICSocket> {
  const socket = new QUICSocket(options);
  await socket.start();
  return socket;
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setImmediate(resolve));
}

const [six, four] = ['::1', '127.0.0.1'];
const config = { verifyPeer: false };

onBoth('a client', () => {
  test('that dials a name reaches the address that answers, and leaves nothing of the dead one', async () => {
    await using server = await serve(four);
    using dead = await listenInSilence(six, server.port);
    await using socket = await startSocket({ resolveHostname: () => [six, four] });
    const options = { host: 'peer.test', port: server.port, socket, config };
    await using client = await QUICClient.createQUICClient(options);
    await dead.heard;
    expect(client.host).toBe(four);
    expect(client.connection.isActive).toBe(true);
    await until(() => [...socket.driver.connections].length === 1);
    await until(() => server.connections.length === 1);
  });

  test.each([
    ['six', [six, four], six],
    ['four', [four, six], four],
  ])('dials the preferred address alone while it answers: %s', async (_, addresses, preferred) => {
    await using server = await serve('::');
    await using socket = await startSocket();
    const options = { host: 'peer.test', port: server.port, socket, config, resolveHostname: async () => addresses };
    await using client = await QUICClient.createQUICClient(options);
    expect(client.host).toBe(preferred);
    expect(socket.stats!.endpoint.dialled).toBe(1);
  });

  test('whose attempts are complete at the same moment keeps one connection, and so does the server', async () => {
    await using server = await serve('::');
    await using socket = await startSocket();
    const asked = new Set<string>();
    const bothAsked = promise();
    const verifyCallback = async (_: unknown, __: unknown, { host }: { host: string }): Promise<undefined> => {
      asked.add(host);
      if (asked.size === 2) bothAsked.resolveP();
      await bothAsked.p;
    };
    await using client = await QUICClient.createQUICClient({
      host: 'peer.test',
      port: server.port,
      socket,
      config: { verifyCallback },
      resolveHostname: () => [six, four],
    });
    expect([...asked]).toEqual([six, four]);
    await client.connection.confirmed;
    await until(() => server.connections.length === 1 && [...socket.driver.connections].length === 1);
    const [far] = server.connections;
    expect(far.connectionIdShared.toString()).toBe(client.connection.connectionIdShared.toString());
    expect([client.connection.closed, far.closed]).toEqual([false, false]);
  });

  test('tells of all addresses when nobody answers at any', async () => {
    using dead = await listenInSilence(four);
    using other = await listenInSilence(six, dead.port);
    await using socket = await startSocket();
    const options = { host: 'peer.test', port: other.port, socket, resolveHostname: () => [six, four] };
    const dial = QUICClient.createQUICClient({ ...options, config: { handshakeTimeout: 300 } });
    const silence = { port: other.port, code: 'ConnectionStartTimeout', message: expect.stringContaining('No answer') };
    await expect(dial).rejects.toMatchObject({
      name: 'ErrorQUICClientCreateTimeout',
      data: {
        attempts: [
          { host: six, ...silence },
          { host: four, ...silence },
        ],
      },
    });
    expect([...socket.driver.connections]).toHaveLength(0);
  });

  test('tells of a refusal rather than of silence', async () => {
    await using server = await serve(four, { applicationProtos: ['another'] });
    using dead = await listenInSilence(six, server.port);
    const options = { host: 'peer.test', port: dead.port, resolveHostname: () => [six, four] };
    const dial = QUICClient.createQUICClient({ ...options, config: { ...config, handshakeTimeout: 400 } });
    await expect(dial).rejects.toMatchObject({
      name: 'ErrorQUICConnectionPeerTLS',
      data: {
        errorCode: 376,
        attempts: [
          { host: six, code: 'ConnectionStartTimeout' },
          { host: four, code: 'ConnectionPeerTLS' },
        ],
      },
    });
  });

  const reason = new Error('enough');
  test.each([
    ['signal', (controller: AbortController) => controller.abort(reason)],
    ['cancel', (_: AbortController, dial: { cancel: (reason: unknown) => void }) => dial.cancel(reason)],
  ])('given up half-way by %s leaves nothing behind', async (_, giveUp) => {
    using dead = await listenInSilence(four);
    using first = await listenInSilence(six, dead.port);
    await using socket = await startSocket();
    const controller = new AbortController();
    const options = { host: 'peer.test', port: dead.port, socket, resolveHostname: () => [six, four, '127.0.0.2'] };
    const dial = QUICClient.createQUICClient(options, { signal: controller.signal });
    await first.heard;
    await dead.heard;
    giveUp(controller, dial);
    await expect(dial).rejects.toBe(reason);
    expect([...socket.driver.connections]).toHaveLength(0);
    expect(socket.stats!.endpoint.dialled).toBe(2);
  });

  test('out of time tells what was tried', async () => {
    using dead = await listenInSilence(four);
    using first = await listenInSilence(six, dead.port);
    const options = { host: 'peer.test', port: first.port, resolveHostname: () => [six, four] };
    const dial = QUICClient.createQUICClient(options, { timer: 400 });
    const attempts = [
      { host: six, port: first.port },
      { host: four, port: first.port },
    ];
    await expect(dial).rejects.toMatchObject({ name: 'ErrorQUICClientCreateTimeout', data: { attempts } });
  });

  test('tries only what its socket reaches', async () => {
    await using server = await serve(four);
    await using socket = new QUICSocket({ resolveHostname: () => ['fe80::1', 'nonsense', six, four] });
    await socket.start({ host: four });
    const options = { host: 'peer.test', port: server.port, socket, config };
    await using client = await QUICClient.createQUICClient(options);
    expect([client.host, socket.stats!.endpoint.dialled]).toEqual([four, 1]);
    const vain = QUICClient.createQUICClient({ ...options, resolveHostname: () => [six, '::2'] });
    await expect(vain).rejects.toThrow(errors.ErrorQUICClientInvalidHost);
    const none = QUICClient.createQUICClient({ ...options, resolveHostname: () => [] });
    await expect(none).rejects.toThrow(errors.ErrorQUICHostInvalid);
  });

  test('dials a name of this host by what the system says', async () => {
    await using server = await serve(four);
    const options = { host: 'localhost', port: server.port, serverName: four, config: { ca: authority().ca } };
    await using client = await QUICClient.createQUICClient(options);
    expect(client.host).toBe(four);
  });
});

onBoth('a socket', () => {
  test('punches all addresses of a name, and is answered by one', async () => {
    await using peer = new QUICSocket();
    await peer.start({ host: four });
    using dead = await listenInSilence(six, peer.port);
    await using socket = await startSocket({ resolveHostname: () => [six, four] });
    const { host, tried } = await socket.punch('peer.test', peer.port);
    expect(host).toBe(four);
    expect(tried.map((each) => each.host)).toEqual([six, four]);
    await dead.heard;
  });

  test('asks one address of a name after the other from where it is seen', async () => {
    await using peer = new QUICSocket({ answersObserve: true });
    await peer.start({ host: four });
    using dead = await listenInSilence(six, peer.port);
    await using socket = await startSocket({ resolveHostname: () => [six, four] });
    expect(await socket.observe('peer.test', peer.port)).toEqual({ host: four, port: socket.port });
    await dead.heard;
  });

  test('sends to the first address of a name that it reaches', async () => {
    using there = await listenInSilence(four);
    await using socket = new QUICSocket({ resolveHostname: () => [six, four] });
    await socket.start({ host: four });
    await socket.send('hello', there.port, 'peer.test');
    expect(String((await there.heard)[0])).toBe('hello');
  });
});
