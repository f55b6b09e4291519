// Punching and asking for one's address, over loopback. Through real NATs: nat/.

import dgram from 'node:dgram';
import { once } from 'node:events';
import os from 'node:os';
import { QUICClient, QUICServer, QUICSocket, errors, events } from '../lib';
import { authority, nextEvent, startSocket } from './helpers/pair';

const host = '127.0.0.1';

/** A socket that hears and says nothing by itself. */
async function createMute(): Promise<{
  port: number;
  socket: dgram.Socket;
  heard: Buffer[];
  [Symbol.dispose](): void;
}> {
  const socket = dgram.createSocket('udp4');
  const heard: Buffer[] = [];
  socket.on('message', (data) => heard.push(data));
  socket.bind(0, host);
  await once(socket, 'listening');
  return { port: socket.address().port, socket, heard, [Symbol.dispose]: () => void socket.close() };
}

/** What a punch or a question fails with. */
async function failureOf(p: Promise<unknown>): Promise<errors.ErrorQUICSocketPunchTimeout> {
  return p.then(
    () => Promise.reject(new Error('expected a failure')),
    (error: unknown) => error as errors.ErrorQUICSocketPunchTimeout,
  );
}

describe('a punch', () => {
  test('is answered by the other socket alone, and tells both addresses', async () => {
    await using from = await startSocket();
    await using to = await startSocket();
    const told = jest.fn();
    to.addEventListener(events.EventQUICSocketDatagram.name, told);
    const result = await from.punch(host, to.port);
    expect(result).toMatchObject({ host, port: to.port, observed: { host, port: from.port } });
    expect(result.tried).toEqual([{ host, port: to.port, sent: 1, isAdopted: false }]);
    expect(result.ms).toBeGreaterThan(0);
    expect(told).not.toHaveBeenCalled();
    expect(from.stats?.punches).toEqual({ started: 1, opened: 1, timedOut: 0, aborted: 0, adopted: 0 });
    expect(from.stats?.endpoint).toMatchObject({ probesSent: 1, probesReceived: 1 });
    expect(to.stats?.endpoint).toMatchObject({ probesReceived: 1, probesAnswered: 1, strays: 0 });
  });

  test('opens both ways when both sides punch at once', async () => {
    await using one = await startSocket();
    await using other = await startSocket();
    const nonce = Buffer.alloc(16, 3);
    const [there, back] = await Promise.all([
      one.punch(host, other.port, { nonce }),
      other.punch(host, one.port, { nonce }),
    ]);
    expect([there.port, back.port]).toEqual([other.port, one.port]);
  });

  test('finds the one of several addresses at which the peer is', async () => {
    await using from = await startSocket();
    await using to = await startSocket();
    using silent = await createMute();
    const targets = [
      { host, port: silent.port },
      { host, port: to.port },
      // Reached by no IPv4 socket, and so left out.
      { host: '2001:db8::1', port: 9 },
    ];
    const { port, tried } = await from.punch(targets);
    expect(port).toBe(to.port);
    expect(tried.map((attempt) => attempt.port)).toEqual([silent.port, to.port]);
  });

  test.each([
    ['by the nonce they share', true],
    ['by its IP address, with nonces of their own', false],
  ])('adopts the address from which the peer is heard, %s', async (_, isShared) => {
    await using one = await startSocket();
    await using other = await startSocket();
    using wrong = await createMute();
    const nonce = isShared ? Buffer.alloc(16, 9) : undefined;
    // One was told a port at which the other isn't any more, as with a symmetric NAT.
    const found = one.punch(host, wrong.port, { nonce });
    const back = await other.punch(host, one.port, { nonce });
    const { port, tried } = await found;
    expect([port, back.port]).toEqual([other.port, one.port]);
    expect(tried).toContainEqual({ host, port: other.port, sent: expect.any(Number) as number, isAdopted: true });
    expect(one.stats?.punches.adopted).toBe(1);
  });

  test('adopts no stranger with another address and another nonce', async () => {
    await using one = await startSocket();
    const stranger = new QUICSocket();
    await stranger.start({ host: '127.0.0.2' });
    using wrong = await createMute();
    const punch = failureOf(one.punch(host, wrong.port, { timeout: 300 }));
    // It is answered, since it can't be told from a peer to come.
    await stranger.punch(host, one.port);
    expect((await punch).data.tried).toHaveLength(1);
    await stranger.stop();
  });

  test('sends by its schedule, and tells in the end what was tried', async () => {
    await using from = await startSocket();
    using silent = await createMute();
    const error = await failureOf(from.punch(host, silent.port, { interval: 20, maxInterval: 40, timeout: 250 }));
    expect(error).toBeInstanceOf(errors.ErrorQUICSocketPunchTimeout);
    expect(error.code).toBe('SocketPunchTimeout');
    const [{ sent }] = error.data.tried;
    // 0, 20, 60, 100, … milliseconds, on a machine that may be slow.
    expect(sent).toBeGreaterThan(1);
    expect(sent).toBeLessThanOrEqual(7);
    expect(silent.heard.every((packet) => packet.length === 40 && packet[0] === 0x0c)).toBe(true);
    expect(from.stats?.punches.timedOut).toBe(1);
  });

  test('is given up by signal, before and while it runs', async () => {
    await using from = await startSocket();
    using silent = await createMute();
    const reason = new Error('enough');
    const early = await failureOf(from.punch(host, silent.port, { signal: AbortSignal.abort(reason) }));
    expect(early).toBeInstanceOf(errors.ErrorQUICSocketPunchAborted);
    expect([early.cause, early.data.tried]).toEqual([reason, []]);
    const controller = new AbortController();
    const punch = failureOf(from.punch(host, silent.port, { signal: controller.signal }));
    await once(silent.socket, 'message');
    controller.abort(reason);
    const late = await punch;
    expect([late.cause, late.data.tried[0].sent]).toEqual([reason, 1]);
    expect(from.stats?.punches.aborted).toBe(2);
  });

  test('ends with its socket', async () => {
    const from = await startSocket();
    using silent = await createMute();
    const punch = failureOf(from.punch(host, silent.port));
    await once(silent.socket, 'message');
    await from.stop();
    expect(await punch).toBeInstanceOf(errors.ErrorQUICSocketNotRunning);
    await expect(from.punch(host, 1)).rejects.toThrow(errors.ErrorQUICSocketNotRunning);
  });

  test('takes any datagram for an answer when asked to', async () => {
    await using from = await startSocket();
    using peer = await createMute();
    peer.socket.once('message', (_, { port }) => peer.socket.send('no punch of ours', port, host));
    const { port, observed } = await from.punch(host, peer.port, { acceptAny: true });
    expect([port, observed]).toEqual([peer.port, undefined]);
  });

  test('works while the socket listens and dials', async () => {
    await using one = await startSocket();
    await using other = await startSocket();
    const server = new QUICServer({ config: authority().issue(), socket: other });
    await server.start();
    const config = { ca: authority().ca };
    const [client] = await Promise.all([
      QUICClient.createQUICClient({ host, port: other.port, socket: one, config }),
      one.punch(host, other.port),
      other.punch(host, one.port),
    ]);
    await client.connection.confirmed;
    await client.destroy();
    await server.stop();
  });

  const mistakes: [what: string, run: (socket: QUICSocket) => Promise<unknown>, error: new () => Error][] = [
    ['a nonce of another length', (socket) => socket.punch(host, 1, { nonce: Buffer.alloc(3) }), RangeError],
    ['port 0', (socket) => socket.punch(host, 0), RangeError],
    ['no targets', (socket) => socket.punch([]), RangeError],
    ['a target that cannot be reached', (socket) => socket.punch('::1', 1), errors.ErrorQUICSocketInvalidSendAddress],
  ];

  test.each(mistakes)('with %s is refused', async (_, run, error) => {
    await using socket = await startSocket();
    await expect(run(socket)).rejects.toThrow(error);
    expect(socket.stats?.endpoint.probesSent).toBe(0);
  });

  test('with a nonce that is in use is refused', async () => {
    await using socket = await startSocket();
    using silent = await createMute();
    const options = { nonce: Buffer.alloc(16), timeout: 100 };
    const first = failureOf(socket.punch(host, silent.port, options));
    await expect(socket.punch(host, silent.port, options)).rejects.toThrow(RangeError);
    await first;
  });
});

describe('observe', () => {
  test('tells from which address a willing socket sees us', async () => {
    await using asking = await startSocket();
    await using willing = await startSocket({ answersObserve: true });
    expect(await asking.observe(host, willing.port)).toEqual({ host, port: asking.port });
  });

  test('gets no answer of others', async () => {
    await using asking = await startSocket();
    await using unwilling = await startSocket();
    await expect(asking.observe(host, unwilling.port, { timeout: 250 })).rejects.toThrow(
      errors.ErrorQUICSocketObserveTimeout,
    );
    expect(unwilling.stats?.endpoint.probesUnanswered).toBeGreaterThan(0);
  });

  test('asks again until it is answered', async () => {
    await using asking = await startSocket();
    using relay = await createMute();
    await using willing = await startSocket({ answersObserve: true });
    // Loses the first question; the answer comes by the same way.
    let count = 0;
    relay.socket.on('message', (data, { port }) => {
      count += 1;
      if (port === willing.port) relay.socket.send(data, asking.port, host);
      else if (count > 1) relay.socket.send(data, willing.port, host);
    });
    expect(await asking.observe(host, relay.port)).toEqual({ host, port: relay.port });
    expect(count).toBeGreaterThanOrEqual(3);
  });

  test('is given up by signal, and with its socket', async () => {
    const asking = await startSocket();
    using silent = await createMute();
    const reason = new Error('enough');
    const signal = AbortSignal.abort(reason);
    await expect(asking.observe(host, silent.port, { signal })).rejects.toBe(reason);
    const asked = asking.observe(host, silent.port);
    const failure = expect(asked).rejects.toThrow(errors.ErrorQUICSocketNotRunning);
    await once(silent.socket, 'message');
    await asking.stop();
    await failure;
  });
});

test('stray datagrams without a listener are dropped and counted, and told again when somebody listens', async () => {
  await using socket = await startSocket();
  using stranger = await createMute();
  for (let i = 0; i < 10; i++) stranger.socket.send('lost', socket.port, host);
  // Answered after those before it.
  stranger.socket.connect(socket.port, host);
  await once(stranger.socket, 'connect');
  await using asking = await startSocket();
  await asking.punch(host, socket.port);
  expect(socket.stats?.endpoint).toMatchObject({ strays: 10, straysDropped: 10 });
  const told = nextEvent<events.EventQUICSocketDatagram>(socket, events.EventQUICSocketDatagram);
  stranger.socket.send('heard');
  expect(Buffer.from((await told).detail.data).toString()).toBe('heard');
});

describe('a link-local address', () => {
  const found = Object.entries(os.networkInterfaces()).flatMap(([name, all]) =>
    (all ?? [])
      .filter((each) => each.family === 'IPv6' && each.address.startsWith('fe80'))
      .map((each) => ({ name, ...each })),
  )[0] as { name: string; address: string; scopeid: number } | undefined;

  (found === undefined ? test.skip : test)('is reached by the name and by the number of its interface', async () => {
    const { name, address, scopeid } = found!;
    await using to = new QUICSocket();
    await to.start({ host: '::' });
    await using from = new QUICSocket();
    await from.start({ host: '::' });
    for (const scope of [name, scopeid]) {
      expect(await from.punch(`${address}%${scope}`, to.port)).toMatchObject({ port: to.port });
    }
  });

  test.each(['fe80::1', 'fe80::1%nosuch0'])(
    'without its interface, or with none, is refused at once: %s',
    async (address) => {
      await using socket = new QUICSocket();
      await socket.start({ host: '::' });
      await expect(socket.punch(address, 1)).rejects.toThrow(errors.ErrorQUICHostInvalid);
      const dialled = QUICClient.createQUICClient({ host: address, port: 1, socket });
      await expect(dialled).rejects.toThrow(errors.ErrorQUICHostInvalid);
    },
  );
});

describe('a name that is never found', () => {
  const never = () => new Promise<string>(() => undefined);
  const name = 'peer.example';

  test('holds up no punch to what is known', async () => {
    await using from = await startSocket({ resolveHostname: never });
    await using to = await startSocket();
    const targets = [
      { host: name, port: to.port },
      { host, port: to.port },
    ];
    const { tried } = await from.punch(targets, { timeout: Infinity });
    expect(tried.map((attempt) => attempt.host)).toEqual([host]);
  });

  test('is given up by time and by signal, and when the socket stops', async () => {
    const from = await startSocket({ resolveHostname: never });
    const silent = await failureOf(from.punch(name, 1, { timeout: 20 }));
    expect(silent).toBeInstanceOf(errors.ErrorQUICSocketPunchTimeout);
    expect(silent.message).toContain('1 more not found yet');
    const reason = new Error('enough');
    const signal = AbortSignal.abort(reason);
    expect((await failureOf(from.punch(name, 1, { signal }))).cause).toBe(reason);
    await expect(from.observe(name, 1, { timeout: 20 })).rejects.toThrow(errors.ErrorQUICSocketObserveTimeout);
    await expect(from.observe(name, 1, { signal })).rejects.toBe(reason);
    const controller = new AbortController();
    const asked = from.observe(name, 1, { signal: controller.signal });
    controller.abort(reason);
    await expect(asked).rejects.toBe(reason);
    const punch = failureOf(from.punch(name, 1, { timeout: Infinity }));
    await from.stop();
    expect(await punch).toBeInstanceOf(errors.ErrorQUICSocketNotRunning);
  });

  test('reaches nobody when it is found after the socket has stopped', async () => {
    const found: ((host: string) => void)[] = [];
    const from = await startSocket({ resolveHostname: () => new Promise((resolve) => found.push(resolve)) });
    const calls = [from.observe(name, 1, { timeout: Infinity }), from.send('x', 1, name)].map(failureOf);
    await from.stop();
    for (const resolve of found) resolve(host);
    for (const failure of await Promise.all(calls)) expect(failure).toBeInstanceOf(errors.ErrorQUICSocketNotRunning);
  });
});

test('a punch is under way from when it is asked for: a stop ends it', async () => {
  const from = await startSocket();
  const punch = failureOf(from.punch(host, 1, { timeout: Infinity }));
  const asked = failureOf(from.observe(host, 1, { timeout: Infinity }));
  await from.stop();
  expect(await punch).toBeInstanceOf(errors.ErrorQUICSocketNotRunning);
  expect(await asked).toBeInstanceOf(errors.ErrorQUICSocketNotRunning);
});
