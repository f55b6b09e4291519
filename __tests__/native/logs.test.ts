import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { promisify } from 'node:util';

import type { Config } from '../../index.js';
import { QlogLevel, setLogger } from '../../index.js';

import { RawPair, codeOf } from '../helpers/rawPair';

const run = promisify(execFile);
let directory: string;

beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'raw-logs-'));
});

afterEach(() => {
  setLogger(null);
  fs.rmSync(directory, { recursive: true });
});

/** The records of a qlog in JSON-SEQ (RFC 7464). */
function records(file: string): { name?: string; title?: string; trace?: { vantage_point: { type: string } } }[] {
  const lines = fs.readFileSync(file, 'utf8').split('\x1e').slice(1);
  return lines.map((line) => JSON.parse(line) as Record<string, never>);
}

/** Ends a pair, so that what it wrote is complete. */
function finish(pair: RawPair): void {
  pair.client.streamWrite(0, Buffer.from('hello'), true);
  pair.flush();
  pair.client.close(true, 0, Buffer.alloc(0));
  pair.flush();
}

describe('qlog', () => {
  test('setQlogDirectory writes a file for each connection, named by its trace id', () => {
    const pair = RawPair.connected({
      client: (config) => config.setQlogDirectory(directory),
      server: (config) => config.setQlogDirectory(directory),
    });
    finish(pair);
    for (const side of [pair.client, pair.server]) {
      const [header, ...events] = records(path.join(directory, `${side.traceId()}.sqlog`));
      expect(header.trace!.vantage_point.type).toBe(side.isServer() ? 'server' : 'client');
      expect(events.map(({ name }) => name)).toEqual(
        expect.arrayContaining(['quic:packet_sent', 'quic:packet_received', 'quic:parameters_set']),
      );
    }
  });

  test('a directory that is missing, or is none, is refused', () => {
    const file = path.join(directory, 'file');
    fs.writeFileSync(file, '');
    const set = (where: string) => () => new RawPair({ client: (config) => config.setQlogDirectory(where) });
    expect(codeOf(set(path.join(directory, 'missing')))).toBe('InvalidConfig');
    expect(codeOf(set(file))).toBe('InvalidConfig');
    expect(set(file)).toThrow(file);
  });

  test('files that can not be opened later are counted, and nothing else happens', () => {
    let config: Config | undefined;
    const gone = path.join(directory, 'gone');
    fs.mkdirSync(gone);
    RawPair.connected({
      client: (c) => {
        config = c;
        c.setQlogDirectory(gone);
        expect(c.logFailures()).toBe(0);
        fs.rmdirSync(gone);
      },
    });
    expect(config!.logFailures()).toBe(1);
  });

  test('setQlog of a connection has a title, and a level', () => {
    const size = (level?: QlogLevel): number => {
      const file = path.join(directory, `${level ?? 'none'}.sqlog`);
      finish(RawPair.connected({ before: ({ client }) => client.setQlog(file, 'the title', 'what it is', level) }));
      expect(records(file)[0]).toMatchObject({ title: 'the title', description: 'what it is' });
      return records(file).length;
    };
    const [core, base, extra] = [size(QlogLevel.Core), size(QlogLevel.Base), size(QlogLevel.Extra)];
    expect(core).toBeLessThan(base);
    expect(base).toBeLessThanOrEqual(extra);
    expect(size()).toBe(base);
    const { client } = new RawPair();
    expect(codeOf(() => client.setQlog(directory, '', '', 1))).toBe('InvalidConfig');
    expect(codeOf(() => client.setQlog(path.join(directory, 'x'), '', '', 3 as 2))).toBe('InvalidArgument');
  });

  test('files are appended to', () => {
    const file = path.join(directory, 'twice.sqlog');
    for (const title of ['one', 'two']) {
      finish(RawPair.connected({ before: ({ client }) => client.setQlog(file, title, '') }));
    }
    expect(records(file).flatMap(({ title }) => title ?? [])).toEqual(['one', 'two']);
  });
});

describe('TLS secrets', () => {
  const LINE = /^(CLIENT|SERVER)_(HANDSHAKE_TRAFFIC_SECRET|TRAFFIC_SECRET_0) [0-9a-f]{64} [0-9a-f]+$/;

  test('setKeyLogFile takes those of all connections, for its owner alone', () => {
    const file = path.join(directory, 'keys.log');
    fs.writeFileSync(path.join(directory, 'before'), '');
    const log = (config: Config): void => config.setKeyLogFile(file);
    RawPair.connected({ client: log });
    const once = fs.readFileSync(file, 'utf8').trimEnd().split('\n');
    RawPair.connected({ client: log });
    const twice = fs.readFileSync(file, 'utf8').trimEnd().split('\n');
    expect(once.filter((line) => LINE.test(line))).toHaveLength(4);
    expect(twice.slice(0, once.length)).toEqual(once);
    expect(twice).toHaveLength(2 * once.length);
    if (process.platform !== 'win32') expect(fs.statSync(file).mode & 0o777).toBe(0o600);
    expect(codeOf(() => new RawPair({ client: (c) => c.setKeyLogFile(directory) }))).toBe('InvalidConfig');
  });

  test('setKeylog of a connection needs logKeys', () => {
    const keys = (log: boolean): string => {
      const file = path.join(directory, `keys-${log}.log`);
      RawPair.connected({
        client: (config) => log && config.logKeys(),
        before: ({ client }) => client.setKeylog(file),
      });
      return fs.readFileSync(file, 'utf8');
    };
    expect(keys(false)).toBe('');
    expect(keys(true)).toContain('CLIENT_TRAFFIC_SECRET_0 ');
    expect(codeOf(() => new RawPair().client.setKeylog(directory))).toBe('InvalidConfig');
  });
});

describe('setLogger', () => {
  /** What the logger was told during one handshake. */
  async function messages(level?: Parameters<typeof setLogger>[1]): Promise<[level: string, target: string][]> {
    const told: [string, string][] = [];
    setLogger((level, target, message) => {
      expect(message).not.toBe('');
      told.push([level, target]);
    }, level);
    RawPair.connected();
    expect(told).toEqual([]);
    await turn();
    await turn();
    return told;
  }

  test('tells what quiche does, in a later turn, as far as the level goes', async () => {
    const trace = await messages('trace');
    expect(trace.length).toBeGreaterThan(10);
    expect(trace.some(([level, target]) => level === 'trace' && target.startsWith('quiche'))).toBe(true);
    const debug = await messages('debug');
    expect(debug.length).toBeLessThan(trace.length);
    expect(debug.filter(([level]) => level === 'trace')).toEqual([]);
    expect((await messages('off')).length).toBe(0);
    expect((await messages()).filter(([level]) => level === 'trace' || level === 'debug')).toEqual([]);
  });

  test('another function takes the place of the first, and null of both', async () => {
    const [first, second] = [jest.fn(), jest.fn()];
    setLogger(first, 'trace');
    setLogger(second, 'trace');
    RawPair.connected();
    await turn();
    expect(first).not.toHaveBeenCalled();
    expect(second).toHaveBeenCalled();
    second.mockClear();
    setLogger(null);
    RawPair.connected();
    await turn();
    expect(second).not.toHaveBeenCalled();
  });

  test('what is too much for one turn is counted and told', async () => {
    const told: string[] = [];
    setLogger((_level, _target, message) => told.push(message), 'trace');
    for (let n = 0; n < 60; n += 1) RawPair.connected();
    while (told.length < 4096) await turn();
    RawPair.connected();
    await turn();
    expect(told.filter((message) => /^\d+ messages were lost/.test(message))).toHaveLength(1);
  });

  test('an unknown level is refused, and nothing that is no function taken', () => {
    expect(codeOf(() => setLogger(() => undefined, 'loud' as 'trace'))).toBe('InvalidArgument');
    expect(() => setLogger('no function' as never)).toThrow();
  });

  test('it does not keep the process alive', async () => {
    const addon = JSON.stringify(path.join(__dirname, '..', '..', 'index.js'));
    const source = `require(${addon}).setLogger(() => console.log('told'), 'trace')`;
    const { stdout } = await run(process.execPath, ['--eval', source], { timeout: 10_000 });
    expect(stdout).toBe('');
  });

  test('a worker that set it may end', async () => {
    const addon = JSON.stringify(path.join(__dirname, '..', '..', 'index.js'));
    const inner = `require(${addon}).setLogger(() => {}, 'trace')`;
    const source = `
      const { Worker } = require('node:worker_threads');
      const { Config, Connection } = require(${addon});
      new Worker(${JSON.stringify(inner)}, { eval: true }).on('exit', () => {
        const address = { host: '127.0.0.1', port: 1 };
        const config = new Config();
        config.setApplicationProtos(['raw']);
        Connection.connect(config, null, Buffer.alloc(8), address, address).send(Buffer.alloc(1500));
        console.log('sent');
      });`;
    const { stdout } = await run(process.execPath, ['--eval', source], { timeout: 10_000 });
    expect(stdout).toBe('sent\n');
  });
});
