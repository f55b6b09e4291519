import type { UdpSocketKind, UdpSocketOptions } from '../../index.js';
import { execFile } from 'node:child_process';
import dgram from 'node:dgram';
import { once } from 'node:events';
import os from 'node:os';
import path from 'node:path';
import { getSystemErrorName, promisify } from 'node:util';

import { ChangeKind, Endpoint, UdpSocket } from '../../index.js';
import { codeOf } from '../helpers/rawPair';

const isLinux = process.platform === 'linux';
const STRAY: number = ChangeKind.Stray;
const kinds: UdpSocketKind[] = isLinux ? ['Descriptor', 'Libuv'] : ['Libuv'];

/** Closed at the end of each test. */
const open: { close(): void }[] = [];
afterEach(() => {
  for (const each of open.splice(0)) each.close();
});

function bind(kind: UdpSocketKind, options: Partial<UdpSocketOptions> = {}): UdpSocket {
  const socket = UdpSocket.bind({
    host: '127.0.0.1',
    port: 0,
    reuseAddr: false,
    ipv6Only: false,
    recvBufferSize: 1 << 20,
    sendBufferSize: 1 << 20,
    ...options,
    kind,
  });
  open.push(socket);
  return socket;
}

/** Lets an endpoint that has no connections take in what comes. */
function drive(socket: UdpSocket, react: (data: Buffer, host: string) => void = () => undefined): Endpoint {
  const endpoint = new Endpoint({ maxStrays: 1000 });
  const { host, port } = socket.address();
  endpoint.setLocalAddress(host, port);
  const changes = new Float64Array(30);
  socket.drive(endpoint, changes, (count) => {
    for (let at = 0; at < count * 3; at += 3) {
      if (changes[at] !== STRAY) continue;
      for (let stray = endpoint.takeStray(); stray !== null; stray = endpoint.takeStray()) {
        react(stray.data, stray.host);
      }
    }
  });
  open.push(endpoint);
  return endpoint;
}

/** A socket, and the datagrams that come to it, up to so many. */
function receiving(kind: UdpSocketKind, count: number, options: Partial<UdpSocketOptions> = {}) {
  const socket = bind(kind, options);
  const came: { data: Buffer; host: string }[] = [];
  const all = new Promise<typeof came>((resolve) => {
    drive(socket, (data, host) => {
      came.push({ data, host });
      if (came.length === count) resolve(came);
    });
  });
  return { socket, all, port: socket.address().port };
}

describe.each(kinds)('%s', (kind) => {
  test('a second bind of a port fails, unless both want to share it', () => {
    const { port } = bind(kind).address();
    expect(codeOf(() => bind(kind, { port }))).toBe('SocketFailed');
    const shared = bind(kind, { reuseAddr: true }).address();
    expect(bind(kind, { port: shared.port, reuseAddr: true }).address()).toEqual(shared);
    if (isLinux) expect(codeOf(() => bind(kind, { port: shared.port }))).toBe('SocketFailed');
  });

  test('a closed one frees its port at once, and refuses what is asked of it', () => {
    let { port } = bind(kind).address();
    for (let round = 0; round < 100; round++) {
      const last = open.pop() as UdpSocket;
      last.close();
      expect(codeOf(() => last.address())).toBe('SocketFailed');
      expect(codeOf(() => last.send(Buffer.from('x'), '127.0.0.1', port))).toBe('SocketFailed');
      last.close();
      ({ port } = bind(kind, { port }).address());
    }
  });

  test('an address that is none of ours is refused', () => {
    expect(codeOf(() => bind(kind, { host: '192.0.2.1' }))).toBe('SocketFailed');
    expect(codeOf(() => bind(kind, { host: 'localhost' }))).toBe('InvalidArgument');
  });

  test('buffers are as large as the system grants', () => {
    const [small, large] = [4096, 1 << 17].map((size) =>
      bind(kind, { recvBufferSize: size, sendBufferSize: size }).stats(),
    );
    expect(small.recvBufferSize).toBeLessThan(large.recvBufferSize);
    expect(small.sendBufferSize).toBeLessThan(large.sendBufferSize);
    expect(large.recvBufferSize).toBeGreaterThanOrEqual(1 << 17);
    // What no system has.
    expect(bind(kind, { recvBufferSize: 2 ** 32 - 1 }).stats().recvBufferSize).toBeGreaterThan(0);
  });

  test('datagrams of all sizes come whole, more than are read at a time', async () => {
    const sizes = [...Array.from({ length: 100 }, (_, i) => i), 1500, 9000, 65_507, 65_507, 65_507, 1];
    const { all, port } = receiving(kind, sizes.length);
    const from = bind(kind);
    drive(from);
    for (const [i, size] of sizes.entries()) expect(from.send(Buffer.alloc(size, i), '127.0.0.1', port)).toBe(0);
    for (const [i, { data }] of (await all).entries()) {
      expect(data.equals(Buffer.alloc(sizes[i], i))).toBe(true);
    }
    expect(from.stats()).toMatchObject({ sent: sizes.length, failed: 0 });
  });

  test('what comes while nobody listens yet is not lost', async () => {
    const socket = bind(kind);
    const { port } = socket.address();
    const from = bind(kind);
    for (let i = 0; i < 40; i++) from.send(Buffer.from([i]), '127.0.0.1', port);
    const came: number[] = [];
    await new Promise<void>((resolve) => {
      drive(socket, (data) => {
        came.push(data[0]);
        if (came.length === 40) resolve();
      });
    });
    expect(came).toEqual(Array.from({ length: 40 }, (_, i) => i));
  });

  test('both families, as the socket was bound', async () => {
    const both = receiving(kind, 2, { host: '::' });
    const [four, six] = [bind(kind), bind(kind, { host: '::1' })];
    expect(four.send(Buffer.from('4'), '127.0.0.1', both.port)).toBe(0);
    expect(six.send(Buffer.from('6'), '::1', both.port)).toBe(0);
    expect((await both.all).map(({ data, host }) => `${data.toString()} ${host}`)).toEqual(['4 127.0.0.1', '6 ::1']);
    const answers = [receiving(kind, 1), receiving(kind, 1, { host: '::1' })];
    expect(both.socket.send(Buffer.from('to 4'), '127.0.0.1', answers[0].port)).toBe(0);
    expect(both.socket.send(Buffer.from('to 6'), '::1', answers[1].port)).toBe(0);
    for (const { all } of answers) expect(await all).toHaveLength(1);
    const only = bind(kind, { host: '::', ipv6Only: true });
    expect(only.send(Buffer.from('x'), '127.0.0.1', answers[0].port)).not.toBe(0);
    // Its port is free for IPv4.
    bind(kind, { port: only.address().port });
  });

  test('what the system refuses is counted, with its reason', () => {
    const socket = bind(kind);
    const refused = socket.send(Buffer.alloc(65_508), '127.0.0.1', 9);
    expect(getSystemErrorName(-refused)).toBe('EMSGSIZE');
    expect(socket.send(Buffer.from('x'), '192.0.2.1', 9)).toBeGreaterThan(0);
    expect(socket.stats()).toMatchObject({ sent: 0, failed: 2, blocked: 0 });
  });

  test('what nobody takes in leaves the socket as it was', async () => {
    // An ICMP message says so, which the system tells of as an error of the next call.
    const gone = bind(kind);
    const { port } = gone.address();
    gone.close();
    const { socket, all, port: own } = receiving(kind, 3);
    for (let i = 0; i < 10; i++) socket.send(Buffer.from('x'), '127.0.0.1', port);
    await new Promise(setImmediate);
    const from = bind(kind);
    for (let i = 0; i < 3; i++) from.send(Buffer.from('still here'), '127.0.0.1', own);
    expect(await all).toHaveLength(3);
  });

  test.each(['first', 'last'])('closing in a reaction ends it there and then: at the %s datagram', async (which) => {
    const socket = bind(kind);
    let told = 0;
    const end = which === 'first' ? 1 : 50;
    const closed = new Promise<void>((resolve) => {
      drive(socket, () => {
        told += 1;
        if (told !== end) return;
        socket.close();
        resolve();
      });
    });
    const from = bind(kind);
    for (let i = 0; i < 50; i++) from.send(Buffer.from([i]), '127.0.0.1', socket.address().port);
    await closed;
    await new Promise(setImmediate);
    expect(codeOf(() => socket.address())).toBe('SocketFailed');
  });

  test('node:dgram at the other end', async () => {
    const { socket, all, port } = receiving(kind, 1);
    const other = dgram.createSocket('udp4');
    open.push(other);
    other.bind(0, '127.0.0.1');
    await once(other, 'listening');
    const told = once(other, 'message') as Promise<[Buffer, dgram.RemoteInfo]>;
    expect(socket.send(Buffer.from('there'), '127.0.0.1', other.address().port)).toBe(0);
    const [data, info] = await told;
    expect([data.toString(), info.port]).toEqual(['there', port]);
    other.send('back', port, '127.0.0.1');
    expect((await all)[0].data.toString()).toBe('back');
  });

  const links = Object.entries(os.networkInterfaces()).flatMap(([name, addresses = []]) =>
    addresses
      .filter(({ family, address }) => family === 'IPv6' && /^fe80/i.test(address))
      .map((each) => ({ name, ...each })),
  );
  const onLink = links.length === 0 ? test.skip : test;

  onLink('link-local addresses name their interface, by name or number', async () => {
    const [{ name, address, scopeid }] = links;
    const { socket, all, port } = receiving(kind, 2, { host: '::' });
    for (const scope of process.platform === 'win32' ? [scopeid] : [name, scopeid]) {
      expect(socket.send(Buffer.from('x'), `${address}%${scope}`, port)).toBe(0);
    }
    expect((await all)[0].host).toBe(`${address}%${scopeid}`);
    expect(codeOf(() => socket.send(Buffer.from('x'), `${address}%nosuch0`, port))).toBe('InvalidArgument');
  });
});

describe('what comes by libuv may gather where much comes', () => {
  const addon = JSON.stringify(path.join(__dirname, '..', '..', 'index.js'));
  // Ends when nothing keeps the event loop alive: for as long as datagrams come, or gather, the socket must.
  const program = `
    const { Endpoint, UdpSocket, ChangeKind } = require(${addon});
    const options = { kind: 'Libuv', host: '127.0.0.1', port: 0, reuseAddr: false, ipv6Only: false };
    const bind = () => UdpSocket.bind({ ...options, recvBufferSize: 1 << 22, sendBufferSize: 1 << 22 });
    const [from, to] = [bind(), bind()];
    const { host, port } = to.address();
    const endpoint = new Endpoint({ maxStrays: 1000 });
    endpoint.setLocalAddress(host, port);
    const came = [];
    let sent = 0;
    let isAll = false;
    to.drive(endpoint, new Float64Array(30), () => {
      for (let stray = endpoint.takeStray(); stray !== null; stray = endpoint.takeStray()) came.push(stray.data.readUInt32LE(4));
      if (isAll && came.length === sent) to.close();
    });
    const data = Buffer.alloc(16384);
    const send = () => {
      data.writeUInt32LE(sent, 4);
      if (from.send(data, host, port) === 0) sent += 1;
    };
    const { recvBufferSize, paused } = to.stats();
    const step = () => {
      send();
      send();
      if (to.stats().paused === paused) setImmediate(step);
      else isAll = true;
    };
    process.on('exit', () => {
      console.log(JSON.stringify({ recvBufferSize, sent, inOrder: came.filter((number, i) => number === i).length }));
    });
    if (recvBufferSize >= 1 << 20 && process.platform !== 'win32') step();
    else to.close();
  `;

  test('all of it is taken in, although nothing else keeps the process alive', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, ['--eval', program], { timeout: 20_000 });
    const { recvBufferSize, sent, inOrder } = JSON.parse(stdout) as Record<string, number>;
    expect(inOrder).toBe(sent);
    if (recvBufferSize >= 1 << 20) expect(sent).toBeGreaterThan(2);
  });
});
