import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { LoggerLike } from '../lib';
import { QUICClient, QUICSocket, errors, logNative } from '../lib';
import { authority, createPair, echo, openStream, readAll } from './helpers/pair';

async function scratchDirectory() {
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'polykey-quic-'));
  return { directory, [Symbol.asyncDispose]: () => fs.rm(directory, { recursive: true }) };
}

/** A logger that keeps what it was told. */
function createLogger(): LoggerLike & { messages: string[] } {
  const messages: string[] = [];
  const log = (message: string) => messages.push(message);
  const logger: LoggerLike & { messages: string[] } = {
    messages,
    debug: log,
    info: log,
    warn: log,
    error: log,
    getChild: () => logger,
  };
  return logger;
}

test('stats count on socket, connection, path and stream', async () => {
  await using pair = await createPair();
  echo(pair.far);
  const stream = pair.near.newStream();
  await stream.end(Buffer.alloc(100_000));
  await readAll(stream);
  const { stats } = pair.near;
  expect(stream.stats).toEqual({ bytesRead: 100_000, bytesWritten: 100_000 });
  expect(stats.sentBytes).toBeGreaterThan(100_000);
  expect(stats.recvBytes).toBeGreaterThan(100_000);
  expect(stats.streams).toBe(0);
  expect(stats.paths).toHaveLength(1);
  expect(stats.paths[0]).toMatchObject({ active: true, peer: { host: '127.0.0.1', port: pair.server.port } });
  await pair.client.destroy();
  expect(pair.near.stats.sentBytes).toBeGreaterThanOrEqual(stats.sentBytes);
});

test('stats of a socket stay when it is stopped', async () => {
  const socket = new QUICSocket();
  expect(socket.stats).toBeUndefined();
  await socket.start({ host: '127.0.0.1' });
  const pair = await createPair({ serverSocket: socket });
  await pair[Symbol.asyncDispose]();
  await socket.stop();
  expect(socket.stats!.endpoint).toMatchObject({ accepted: 1, connections: 0 });
  expect(socket.stats!.transport.datagramsReceived).toBeGreaterThan(0);
});

test('qlogDirectory takes one readable file for each connection', async () => {
  await using scratch = await scratchDirectory();
  const { directory } = scratch;
  const pair = await createPair({ server: { qlogDirectory: directory }, client: { qlogDirectory: directory } });
  const [ours, theirs] = await openStream(pair.near, pair.far);
  await ours.end();
  await readAll(theirs);
  await pair[Symbol.asyncDispose]();
  const files = await fs.readdir(directory);
  expect(files).toHaveLength(2);
  for (const file of files) {
    const text = await fs.readFile(path.join(directory, file), 'utf8');
    // JSON-SEQ (RFC 7464): each record after a record separator.
    const records = text.split('\x1e').filter((record) => record.trim() !== '');
    const [header, ...events] = records.map((record) => JSON.parse(record) as Record<string, unknown>);
    expect(header).toMatchObject({ file_schema: 'urn:ietf:params:qlog:file:sequential' });
    expect(events.length).toBeGreaterThan(5);
  }
});

test('logKeys takes the secrets of connections', async () => {
  await using scratch = await scratchDirectory();
  const file = path.join(scratch.directory, 'keys.log');
  await using pair = await createPair({ client: { logKeys: file } });
  expect(pair.client.closed).toBe(false);
  const text = await fs.readFile(file, 'utf8');
  for (const label of ['CLIENT_HANDSHAKE_TRAFFIC_SECRET', 'SERVER_TRAFFIC_SECRET_0']) expect(text).toContain(label);
});

test.each(['qlogDirectory', 'logKeys'])('%s that can not be written is a config error', async (setting) => {
  const config = { [setting]: '/no such directory/at all' };
  const dial = QUICClient.createQUICClient({ host: '127.0.0.1', port: 9, localHost: '127.0.0.1', config });
  await expect(dial).rejects.toThrow(errors.ErrorQUICConfig);
});

test('the log of quiche goes to a logger, until it is told to stop', async () => {
  const logger = createLogger();
  logNative(logger, 'trace');
  try {
    await using pair = await createPair();
    expect(pair.client.closed).toBe(false);
    while (logger.messages.length === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(logger.messages.join()).toContain('quiche');
  } finally {
    logNative(null);
  }
});

describe('a process', () => {
  /** Runs a script beside our own, and gives what it printed. */
  async function run(body: string): Promise<string> {
    const { cert, key } = authority().issue();
    const script = `
      const { QUICServer, QUICClient, QUICSocket } = require(${JSON.stringify(path.resolve('dist'))});
      const config = ${JSON.stringify({ cert, key })};
      const ca = ${JSON.stringify(authority().ca)};
      (async () => { ${body} })();
    `;
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', script], { timeout: 15_000 });
    return stdout;
  }

  const connected = `
    const server = new QUICServer({ config });
    await server.start({ host: '127.0.0.1' });
    const client = await QUICClient.createQUICClient({
      host: '127.0.0.1', port: server.port, localHost: '127.0.0.1', config: { ca } });
  `;

  test('exits by itself when all is stopped', async () => {
    expect(await run(`${connected} await client.destroy(); await server.stop(); console.log('stopped');`)).toBe(
      'stopped\n',
    );
  });

  test('exits by itself after a dial that failed', async () => {
    const body = `
      const socket = new QUICSocket(); await socket.start({ host: '127.0.0.1' });
      await QUICClient.createQUICClient({ host: '127.0.0.1', port: 9, socket }, { timer: 50 }).catch((e) => console.log(e.code));
      await socket.stop();
    `;
    expect(await run(body)).toBe('ClientCreateTimeout\n');
  });

  test('exits although an unreferenced socket runs', async () => {
    const body = `
      const socket = new QUICSocket(); await socket.start({ host: '127.0.0.1' });
      const server = new QUICServer({ config, socket }); await server.start();
      await QUICClient.createQUICClient({ host: '127.0.0.1', port: server.port, socket, config: { ca } });
      socket.unref();
      console.log('running');
    `;
    expect(await run(body)).toBe('running\n');
  });
});
