import type { QUICSocketOptions } from '../lib';
import { spawn } from 'node:child_process';
import dgram from 'node:dgram';
import { once } from 'node:events';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { QUICClient, QUICServer, QUICSocket, errors, events } from '../lib';
import NativeTransport from '../lib/transport/native';
import { identity } from './helpers/rawCertificates';

const root = path.join(__dirname, '..');
const isLinux = process.platform === 'linux';

/** Each way in which datagrams move: options of the socket, and what the environment says. */
const ways = [
  { name: 'descriptor', options: {}, environment: {}, kind: 'descriptor with segmentation' },
  { name: 'descriptor, no GSO', options: {}, environment: { POLYKEY_QUIC_GSO: '0' }, kind: 'descriptor' },
  { name: 'portable', options: { transport: 'portable' }, environment: {}, kind: 'libuv' },
  {
    name: 'portable by environment',
    options: {},
    environment: { POLYKEY_QUIC_TRANSPORT: 'portable' },
    kind: 'libuv',
  },
  { name: 'dgram', options: { transport: 'dgram' }, environment: {}, kind: 'dgram' },
  { name: 'dgram by environment', options: {}, environment: { POLYKEY_QUIC_TRANSPORT: 'dgram' }, kind: 'dgram' },
] as const;

/** Starts a socket in an environment. */
async function startSocket(
  options: QUICSocketOptions,
  environment: NodeJS.ProcessEnv,
  at: { host: string; port?: number },
) {
  const socket = new QUICSocket(options);
  const before = { ...process.env };
  Object.assign(process.env, environment);
  try {
    await socket.start(at);
  } finally {
    process.env = before;
  }
  return socket;
}

/** A server that sends back what it gets. */
async function startEcho(socket: QUICSocket) {
  const { key, cert } = identity('localhost');
  const server = new QUICServer({ socket, config: { key, cert } });
  server.addEventListener(events.EventQUICServerConnection.name, (event: events.EventQUICServerConnection) => {
    event.detail.addEventListener(
      events.EventQUICConnectionStream.name,
      async ({ detail: stream }: events.EventQUICConnectionStream) => {
        for await (const chunk of stream) await stream.write(chunk);
        await stream.end();
      },
    );
  });
  await server.start();
  return server;
}

function dial(socket: QUICSocket, port: number) {
  const config = { ca: identity('localhost').cert };
  return QUICClient.createQUICClient({ socket, host: '127.0.0.1', port, serverName: 'localhost', config });
}

/** Sends bytes there and back. */
async function roundTrip(client: QUICClient, bytes: Buffer): Promise<Buffer> {
  const stream = client.connection.newStream();
  const sent = stream.write(bytes).then(() => stream.end());
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  await sent;
  return Buffer.concat(chunks);
}

/** Whether a foreign socket, which lets others share, can bind the port. */
async function canBind(port: number): Promise<boolean> {
  const socket = dgram.createSocket({ type: 'udp4', reuseAddr: true });
  try {
    socket.bind(port, '127.0.0.1');
    await once(socket, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    socket.close();
  }
}

describe.each(ways)('$name', ({ options, environment, kind }) => {
  test.each([
    ['127.0.0.1', '127.0.0.1'],
    ['::', '::'],
    ['::', '127.0.0.1'],
    ['127.0.0.1', '::'],
  ])('a server at %s and a client at %s move a stream there and back, whole', async (serverHost, clientHost) => {
    const near = await startSocket(options, environment, { host: clientHost });
    const far = await startSocket(options, environment, { host: serverHost });
    const server = await startEcho(far);
    const client = await dial(near, far.port);
    const bytes = Buffer.alloc(3_000_000, 'some bytes of no meaning');
    expect((await roundTrip(client, bytes)).equals(bytes)).toBe(true);
    const stats = near.stats!;
    expect(stats.transport.kind).toBe(isLinux || kind === 'dgram' ? kind : 'libuv');
    expect(stats.transport.datagramsSent).toBeGreaterThan(2000);
    expect(stats.transport.datagramsReceived).toBeGreaterThan(2000);
    expect(stats.transport.recvBufferSize).toBeGreaterThan(0);
    await client.destroy();
    await server.stop();
    await far.stop();
    await near.stop();
    expect(near.stats!.transport.datagramsSent).toBeGreaterThan(2000);
  });

  test('of many streams that come at once, the first are answered before the last are told of', async () => {
    const near = await startSocket(options, environment, { host: '127.0.0.1' });
    const far = await startSocket(options, environment, { host: '127.0.0.1' });
    const { key, cert } = identity('localhost');
    const server = new QUICServer({ socket: far, config: { key, cert } });
    const sentBefore: number[] = [];
    server.addEventListener(events.EventQUICServerConnection.name, ({ detail }: events.EventQUICServerConnection) => {
      detail.addEventListener(
        events.EventQUICConnectionStream.name,
        async ({ detail: stream }: events.EventQUICConnectionStream) => {
          sentBefore.push(detail.stats.sent);
          await stream.read();
          await stream.end(Buffer.from('answer'));
        },
      );
    });
    await server.start();
    const client = await dial(near, far.port);
    // What comes in the turn in which a connection is made is told of later.
    await roundTrip(client, Buffer.from('?'));
    // All in one datagram.
    const streams = Array.from({ length: 90 }, () => client.connection.newStream());
    for (const stream of streams) void stream.end(Buffer.from('?'));
    for (const stream of streams) expect(await stream.read()).toEqual(Buffer.from('answer'));
    expect(sentBefore).toHaveLength(1 + streams.length);
    expect(sentBefore.at(-1)).toBeGreaterThan(sentBefore[1]);
    await Promise.all([client.destroy(), server.stop()]);
    await Promise.all([near.stop(), far.stop()]);
  });

  test.each([10, 20, 40, 60])(
    'all that was answered before a stop goes out, of many streams after %i',
    async (count) => {
      const near = await startSocket(options, environment, { host: '127.0.0.1' });
      const far = await startSocket(options, environment, { host: '127.0.0.1' });
      const { key, cert } = identity('localhost');
      const server = new QUICServer({ socket: far, config: { key, cert } });
      let told = -1;
      server.addEventListener(events.EventQUICServerConnection.name, ({ detail }: events.EventQUICServerConnection) => {
        detail.addEventListener(
          events.EventQUICConnectionStream.name,
          ({ detail: stream }: events.EventQUICConnectionStream) => {
            told += 1;
            if (told <= count) void stream.end(Buffer.from('answer'));
            if (told === count) void detail.stop({ errorCode: 5 });
          },
        );
      });
      await server.start();
      const client = await dial(near, far.port);
      await roundTrip(client, Buffer.from('?'));
      const streams = Array.from({ length: 90 }, () => client.connection.newStream());
      for (const stream of streams) void stream.end(Buffer.from('?')).catch(() => undefined);
      const answers = await Promise.allSettled(streams.map((stream) => stream.read()));
      expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(count);
      await Promise.all([client.destroy(), server.stop()]);
      await Promise.all([near.stop(), far.stop()]);
    },
  );

  test('a port that is taken is refused, with what the system says', async () => {
    const socket = await startSocket(options, environment, { host: '127.0.0.1' });
    // Windows lets whoever wants it share any port.
    if (process.platform !== 'win32') expect(await canBind(socket.port)).toBe(false);
    const second = startSocket(options, environment, { host: '127.0.0.1', port: socket.port });
    await expect(second).rejects.toThrow(errors.ErrorQUICSocketInvalidBindAddress);
    await expect(second).rejects.toMatchObject({ cause: { code: 'EADDRINUSE' } });
    await socket.stop();
  });

  test('the same port is free again and again, while a child process runs', async () => {
    const socket = await startSocket(options, environment, { host: '127.0.0.1' });
    const { port } = socket;
    const child = spawn(process.execPath, ['--eval', 'setInterval(() => {}, 1000)'], { stdio: 'inherit' });
    try {
      await once(child, 'spawn');
      await socket.stop();
      for (let i = 0; i < 100; i++) {
        await socket.start({ host: '127.0.0.1', port });
        await socket.stop();
      }
    } finally {
      child.kill();
      await once(child, 'exit');
    }
    expect(await canBind(port)).toBe(true);
  });

  test('whoever asks for it shares the port', async () => {
    const socket = new QUICSocket(options);
    await socket.start({ host: '127.0.0.1', reuseAddr: true });
    expect(await canBind(socket.port)).toBe(true);
    await socket.stop();
  });

  test('targets that nobody reaches disturb nobody else', async () => {
    const near = await startSocket(options, environment, { host: '127.0.0.1' });
    const far = await startSocket(options, environment, { host: '127.0.0.1' });
    const server = await startEcho(far);
    const { key, cert } = identity('localhost');
    // From loopback no packet gets out.
    const lost = QUICClient.createQUICClient(
      { socket: near, host: '192.0.2.1', port: 9, config: { key, cert } },
      { timer: 300 },
    );
    const client = await dial(near, far.port);
    await expect(lost).rejects.toThrow(errors.ErrorQUICClientCreateTimeout);
    await expect(near.send(Buffer.alloc(10), 9, '192.0.2.1')).rejects.toThrow();
    await expect(near.send(Buffer.alloc(65_508), far.port, '127.0.0.1')).rejects.toMatchObject({ code: 'EMSGSIZE' });
    expect(near.stats!.transport.sendsFailed).toBeGreaterThan(0);
    expect((await roundTrip(client, Buffer.from('still here'))).toString()).toBe('still here');
    await client.destroy();
    await server.stop();
    await far.stop();
    await near.stop();
  });

  test('bare datagrams come, many at a time', async () => {
    const near = await startSocket(options, environment, { host: '127.0.0.1' });
    const far = await startSocket({ ...options, maxStrays: 1000 }, environment, { host: '127.0.0.1' });
    const came: number[] = [];
    const all = new Promise<void>((resolve) => {
      far.addEventListener(events.EventQUICSocketDatagram.name, ({ detail }: events.EventQUICSocketDatagram) => {
        came.push(Buffer.from(detail.data).readUInt32BE());
        expect([detail.host, detail.port]).toEqual([near.host, near.port]);
        if (came.length === 200) resolve();
      });
    });
    for (let i = 0; i < 200; i++) {
      const bytes = Buffer.alloc(10);
      bytes.writeUInt32BE(i);
      void near.send(bytes, far.port, far.host);
    }
    await all;
    expect(came.sort((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, i) => i));
    await near.stop();
    await far.stop();
  });
});

type Choice = NonNullable<QUICSocketOptions['transport']>;
const choices: Choice[] = ['auto', 'portable', 'dgram'];

/** A program that starts a socket, then does what `source` says, with it and its descriptors; `before` all, what that says. */
function program(source: string, { transport = 'auto', before = '' } = {}): string {
  return `
    ${before}
    const fs = require('node:fs');
    const { QUICSocket, events } = require(${JSON.stringify(path.join(root, 'dist'))});
    const sockets = () => fs.readdirSync('/proc/self/fd').map(Number).filter((fd) => {
      try { return fs.readlinkSync('/proc/self/fd/' + fd).startsWith('socket:'); } catch { return false; }
    });
    void (async () => {
      const before = new Set(sockets());
      const socket = new QUICSocket({ transport: '${transport}' });
      await socket.start({ host: '127.0.0.1' });
      const own = sockets().filter((fd) => !before.has(fd));
      ${source}
    })();`;
}

async function runProgram(source: string, options?: { transport?: Choice; before?: string }): Promise<string> {
  const child = spawn(process.execPath, ['--eval', program(source, options)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return `${output.trim()} (${code})`;
}

const onLinux = isLinux ? test : test.skip;

onLinux('a descriptor that was closed by somebody else is never written to again', async () => {
  const answer = await runProgram(`
    const failed = new Promise((resolve) => {
      socket.addEventListener(events.EventQUICSocketError.name, () => resolve('told'));
    });
    // Until the event loop waits for it: before, it would end the process, whosever socket it is.
    for (let turns = 0; turns < 3; turns++) await new Promise(setImmediate);
    for (const fd of own) fs.closeSync(fd);
    const files = own.map((_, i) => fs.mkdtempSync('/tmp/polykey-quic-') + '/' + i);
    const reused = files.map((file) => fs.openSync(file, 'w'));
    await Promise.race([socket.send('x', socket.port, '127.0.0.1').catch(() => {}), failed]);
    await socket.stop({ force: true });
    console.log(files.map((file) => fs.statSync(file).size).join() + (reused.length === own.length ? ' same' : ''));
    for (const file of files) fs.rmSync(require('node:path').dirname(file), { recursive: true });
    process.exit(0);`);
  expect(answer).toBe('0 same (0)');
});

test.each(choices)('a process ends when nothing keeps it, whatever is open: %s', async (transport) => {
  const answer = await runProgram(`console.log(own.length); socket.unref();`, { transport });
  expect(answer).toBe(isLinux ? '1 (0)' : '0 (0)');
});

test('Bun, which ends the process when libuv is called that it does not have, is not asked', async () => {
  const answer = await runProgram(`console.log(socket.stats.transport.kind); await socket.stop();`, {
    before: `Object.defineProperty(process, 'versions', { value: { ...process.versions, bun: '1.3.0' } });`,
  });
  expect(answer).toBe('dgram (0)');
});

test.each(choices)('worker threads have sockets of their own, which end with them: %s', async (transport) => {
  const source = program(
    `
    const { parentPort } = require('node:worker_threads');
    socket.addEventListener(events.EventQUICSocketDatagram.name, ({ detail }) => parentPort.postMessage(detail.data[0]));
    parentPort.postMessage({ port: socket.port });`,
    { transport },
  );
  const workers = Array.from({ length: 3 }, () => new Worker(source, { eval: true }));
  const ports = await Promise.all(
    workers.map(async (worker) => ((await once(worker, 'message')) as [{ port: number }])[0].port),
  );
  expect(new Set(ports).size).toBe(3);
  const socket = new QUICSocket({ transport });
  await socket.start({ host: '127.0.0.1' });
  for (const [i, worker] of workers.entries()) {
    const told = once(worker, 'message');
    await socket.send(Buffer.from([i, 1, 2, 3]), ports[i], '127.0.0.1');
    expect(await told).toEqual([i]);
  }
  await Promise.all(workers.map((worker) => worker.terminate()));
  for (const port of ports) expect(await canBind(port)).toBe(true);
  await socket.stop();
});

// Not node:dgram, which may end the whole process then: Node 20's sockets don't expect the end in a datagram.
test.each(choices.slice(0, 2))(
  'a worker thread may be ended in the middle of what it sends and receives: %s',
  async (transport) => {
    const source = program(
      `
    const { parentPort } = require('node:worker_threads');
    let count = 0;
    // Each answers each, for ever.
    socket.addEventListener(events.EventQUICSocketDatagram.name, ({ detail }) => {
      void socket.send(detail.data, socket.port, '127.0.0.1');
      count += 1;
      if (count === 1000) parentPort.postMessage({ port: socket.port });
    });
    for (let i = 0; i < 64; i++) void socket.send(Buffer.alloc(1200, i), socket.port, '127.0.0.1');`,
      { transport },
    );
    for (let round = 0; round < 5; round++) {
      const worker = new Worker(source, { eval: true });
      const [{ port }] = (await once(worker, 'message')) as [{ port: number }];
      await worker.terminate();
      expect(await canBind(port)).toBe(true);
    }
  },
);

describe('the first way that works is taken', () => {
  afterEach(() => jest.restoreAllMocks());

  test.each<[Choice, string[], string]>([
    ['auto', ['descriptor'], 'libuv'],
    ['auto', ['descriptor', 'libuv'], 'dgram'],
    ['portable', ['descriptor'], 'libuv'],
    ['portable', ['libuv'], 'dgram'],
    ['dgram', [], 'dgram'],
  ])('%s where %p can not be bound', async (transport, broken, kind) => {
    const open = NativeTransport.open.bind(NativeTransport);
    jest.spyOn(NativeTransport, 'open').mockImplementation((kind, options) => {
      return broken.includes(kind) ? undefined : open(kind, options);
    });
    const socket = new QUICSocket({ transport });
    await socket.start({ host: '127.0.0.1' });
    expect(socket.stats!.transport.kind).toBe(kind);
    await socket.stop();
  });
});
