import type { ChildProcessByStdio } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import dgram from 'node:dgram';
import { on, once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { Lab } from '../scripts/nat/lab.cjs';

// Three processes start in each test, on machines that may be slow.
jest.setTimeout(60_000);

const folderOfDemo = path.join(__dirname, '../examples/demo');

type Demo = ChildProcessByStdio<null, Readable, Readable>;

type Outcome = { code: number | null; lines: string[]; errors: string[] };

function start(...args: string[]): Demo {
  return spawn(process.execPath, [path.join(folderOfDemo, 'main.mjs'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: temporary, TEMP: temporary },
  });
}

async function outcomeOf(demo: Demo): Promise<Outcome> {
  const [[code], out, errors] = await Promise.all([
    once(demo, 'close') as Promise<[number | null]>,
    textOf(demo.stdout),
    textOf(demo.stderr),
  ]);
  const linesOf = (text: string) => text.split('\n').filter((line) => line !== '');
  return { code, lines: linesOf(out), errors: linesOf(errors) };
}

async function textOf(stream: Readable): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  return text;
}

const run = (...args: string[]) => outcomeOf(start(...args));

/** One process of the demo alone; it ends when its standard input is closed. */
function startPart(script: string, ...args: string[]): ChildProcessByStdio<Writable, Readable, null> {
  return spawn(process.execPath, [path.join(folderOfDemo, script), ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
}

type Report = { event: string; address: string; id: string; message: string };

async function firstReport(part: { stdout: Readable }, event: string): Promise<Report> {
  const lines = createInterface({ input: part.stdout });
  for await (const [line] of on(lines, 'line') as AsyncIterable<[string]>) {
    const report = JSON.parse(line) as Report;
    if (report.event === event) return report;
  }
  throw new Error('unreachable');
}

/** The value that the summary shows under a name. */
function summaryOf({ lines }: Outcome, name: string): string | undefined {
  return lines
    .find((line) => line.startsWith(`  ${name} `))
    ?.slice(name.length + 2)
    .trim();
}

let folder: string;
/** Where the demo has its temporary folders; empty after each run. */
let temporary: string;
let file: string;
let bytes: Buffer;
/** A file that takes minutes to send, and no room on the disk. */
let endless: string;

beforeAll(async () => {
  folder = await fs.promises.mkdtemp(path.join(os.tmpdir(), 'polykey-quic-demo-test-'));
  file = path.join(folder, 'some file.bin');
  bytes = randomBytes(1_500_000);
  await fs.promises.writeFile(file, bytes);
  endless = path.join(folder, 'endless');
  await fs.promises.writeFile(endless, '');
  await fs.promises.truncate(endless, 2 ** 40);
  temporary = path.join(folder, 'temporary');
  await fs.promises.mkdir(temporary);
});

afterEach(async () => expect(await fs.promises.readdir(temporary)).toEqual([]));

afterAll(() => fs.promises.rm(folder, { recursive: true }));

test('two peers meet and move a file', async () => {
  const out = path.join(folder, 'out');
  const outcome = await run('--file', file, '--out', out);
  expect(outcome).toMatchObject({ code: 0, errors: [] });
  expect(summaryOf(outcome, 'SHA-256')).toBe(createHash('sha256').update(bytes).digest('hex'));
  expect(summaryOf(outcome, 'punch packets')).toMatch(/^A sent [1-9]\d*, open after \d+\.\d ms; B sent/);
  expect(summaryOf(outcome, 'connected')).toMatch(/^\d+\.\d ms, (A dialled B|B dialled A)$/);
  // Not toEqual, which looks at bytes one by one.
  expect(bytes.equals(await fs.promises.readFile(path.join(out, 'some file.bin')))).toBe(true);
});

test.each([0, 1])('a file of %d bytes arrives', async (size) => {
  const small = path.join(folder, `of ${size} bytes`);
  await fs.promises.writeFile(small, randomBytes(size));
  const outcome = await run('--file', small);
  expect(outcome).toMatchObject({ code: 0, errors: [] });
});

test('an impostor is refused before anything is sent', async () => {
  const out = path.join(folder, 'impostor');
  const outcome = await run('--impostor', '--file', file, '--out', out);
  expect(outcome).toMatchObject({ code: 0, errors: [] });
  expect(summaryOf(outcome, 'alerts')).toBe('298 seen by A, 298 seen by B');
  expect(summaryOf(outcome, 'sent to B')).toMatch(/^no stream/);
  expect(await fs.promises.readdir(out)).toEqual([]);
});

const labProblem = Lab.problem();
if (labProblem !== undefined) process.stdout.write(`The demo with NATs is skipped: ${labProblem}\n`);

(labProblem === undefined ? test : test.skip)('two peers meet through their NATs and move a file', async () => {
  const outcome = await run('--nat', '--file', file);
  expect(outcome).toMatchObject({ code: 0, errors: [] });
  expect(summaryOf(outcome, 'SHA-256')).toBe(createHash('sha256').update(bytes).digest('hex'));
  // Behind NATs: from outside they are seen at other addresses than their own.
  expect(summaryOf(outcome, 'A')).toMatch(/^0\.0\.0\.0:\d+, seen as 198\.51\.100\.10:\d+$/);
  expect(summaryOf(outcome, 'B')).toMatch(/^0\.0\.0\.0:\d+, seen as 198\.51\.100\.18:\d+$/);
  expect(summaryOf(outcome, 'A found B at')).toMatch(/^198\.51\.100\.18:/);
});

test('a rendezvous that is not gullible lets nobody register as somebody else', async () => {
  const rendezvous = startPart('rendezvous.mjs');
  const { address, id } = await firstReport(rendezvous, 'listening');
  const claimed = '0'.repeat(64);
  const liar = startPart('peer.mjs', '--rendezvous', address, '--rendezvous-id', id, '--claim', claimed);
  const { message } = await firstReport(liar, 'failed');
  expect(message).toBe('the rendezvous refused: that is not the identity of your certificate');
  const closed = Promise.all([once(rendezvous, 'close'), once(liar, 'close')]);
  rendezvous.stdin.end();
  await closed;
});

describe('one line says what is wrong', () => {
  test('with somebody whom the rendezvous does not know', async () => {
    const { code, errors } = await run('--unknown', '--file', file);
    expect(code).toBe(1);
    expect(errors).toEqual([expect.stringMatching(/^error: .*nobody is registered as [0-9a-f]{64}$/)]);
  });

  test('with a port in use', async () => {
    const socket = dgram.createSocket('udp4').bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const { port } = socket.address();
    const { code, errors } = await run('--port', String(port), '--file', file);
    socket.close();
    expect(code).toBe(1);
    expect(errors).toEqual([`error: port ${port} of 127.0.0.1 is in use: choose another --port, or none`]);
  });

  const mistakes: [what: string, args: () => string[], line: RegExp][] = [
    ['a file that is not there', () => ['--file', `${file}.not`], /can't read --file .*: there is no such file$/],
    ['a folder for a file', () => ['--file', folder], /can't send --file .*: it is no regular file$/],
    ['a file for a folder', () => ['--out', file], /can't write to --out .*: it is no folder$/],
    ['a file that would be overwritten', () => ['--file', file, '--out', folder], /has a file some file.bin already$/],
    ['an unknown option', () => ['--fiel', file], /Unknown option '--fiel' \(--help tells what there is\)$/],
    ['a port that is none', () => ['--port', '65536'], /--port 65536: expected a number from 0 to 65535$/],
  ];

  test.each(mistakes)('with %s', async (_, args, line) => {
    const { code, lines, errors } = await run(...args());
    expect({ code, lines }).toEqual({ code: 1, lines: [] });
    expect(errors).toEqual([expect.stringMatching(line)]);
  });
});

test('--help tells the options', async () => {
  const { code, lines, errors } = await run('--help');
  expect({ code, errors }).toEqual({ code: 0, errors: [] });
  expect(lines.join('\n')).toMatch(/--file[^]*--impostor[^]*Exit code/);
});

test('time is bounded', async () => {
  const { code, errors } = await run('--file', endless, '--timeout', '2');
  expect(code).toBe(1);
  expect(errors).toEqual([
    expect.stringMatching(/^error: gave up after 2 s, while \w.* \(--timeout sets another limit\)$/),
  ]);
});

// Windows has no signals: there a process can only be killed.
const onUnix = process.platform === 'win32' ? describe.skip : describe;

onUnix('no process stays behind', () => {
  /** A demo that would go on for long. */
  async function startEndless(): Promise<Demo> {
    const demo = start('--file', endless);
    await new Promise<void>((resolve) => {
      demo.stdout.on('data', (chunk) => {
        if (String(chunk).includes('both proved who they are')) resolve();
      });
    });
    return demo;
  }

  // The children write to the same standard error: `close` comes when all of them are gone.
  test('after Ctrl-C', async () => {
    const demo = await startEndless();
    const outcome = outcomeOf(demo);
    demo.kill('SIGINT');
    const { code, errors } = await outcome;
    expect(code).toBe(130);
    expect(errors).toEqual(['error: interrupted while A was sending the file']);
  });

  test('after a violent end', async () => {
    const demo = await startEndless();
    const outcome = outcomeOf(demo);
    demo.kill('SIGKILL');
    const { code, errors } = await outcome;
    expect({ code, errors }).toEqual({ code: null, errors: [] });
    await fs.promises.rm(temporary, { recursive: true });
    await fs.promises.mkdir(temporary);
  });
});
