// Does memory stay flat? Sends much through one stream, then opens many streams one after the other on one connection, client
// and server being two processes, and compares how much memory each has before and after.
//
//   npm run bench:memory -- [--mebibytes 1024] [--streams 10000]
//
// Exit code 1 if a process has grown beyond the bounds below. README.md says how to read the numbers.

import { Buffer } from 'node:buffer';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import v8 from 'node:v8';
import vm from 'node:vm';
import { QUICClient, QUICServer, events, x509 } from 'polykey-quic';

const MiB = 1024 * 1024;

/** What a process may have grown by when the work is done, garbage collected: allocators keep some of what was freed. */
const MAX_GROWTH = 48 * MiB;

/** What it may have grown by while working: windows of 16 MiB for a stream and 24 for a connection, and their garbage. */
const MAX_PEAK_GROWTH = 96 * MiB;

/** Buffers, windows and compiled code come to their size in this part of the work; what counts is what comes then. */
const WARM_UP = 1 / 8;

const CHUNK = Buffer.alloc(256 * 1024, 0x5a);
const SMALL = Buffer.alloc(1024, 0x5a);
const PROTOCOL = 'memory/1';

const { values: options } = parseArgs({
  options: {
    mebibytes: { type: 'string', default: '1024' },
    streams: { type: 'string', default: '10000' },
    /** Only for the process that the script itself starts. */
    server: { type: 'boolean', default: false },
  },
});

if (options.server) await serve();
else process.exitCode = await main();

async function main() {
  const [server, { host, port, id }] = await startServer();
  const client = await dial(host, port, id);
  const phases = [
    ['one stream', amount('mebibytes'), 'MiB', (count, tell) => sendMuch(client, count, tell)],
    ['one after the other', amount('streams'), 'streams', (count, tell) => openMany(client, count, tell)],
  ];
  const look = watchBoth(server);
  let isFlat = true;
  for (const phase of phases) isFlat = (await run(look, ...phase)) && isFlat;
  await client.destroy();
  server.disconnect();
  console.log(isFlat ? 'Memory stays flat.' : 'Memory does NOT stay flat.');
  return isFlat ? 0 : 1;
}

function amount(name) {
  const text = options[name];
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  console.error(`--${name} ${text}: expected a number from 1`);
  process.exit(1);
}

/** Does a part of the work, looks, does the rest, looks again. */
async function run(look, title, count, unit, work) {
  const warmUp = Math.ceil(count * WARM_UP);
  const progress = progressLine(title, count, unit);
  const start = await look();
  await work(warmUp, progress);
  const before = await look();
  const time = performance.now();
  await work(count - warmUp, (done) => progress(warmUp + done));
  const seconds = (performance.now() - time) / 1000;
  const after = await look();
  progress.end();
  console.log(`${count} ${unit}, ${title} (${((count - warmUp) / seconds).toFixed(0)} ${unit}/s)`);
  return ['client', 'server']
    .map((name) => show(name, start[name].now, before[name].now, after[name].peak, after[name].now))
    .every(Boolean);
}

/** Shows one process; answers whether it stayed within the bounds. */
function show(name, start, before, peak, after) {
  const isFlat = after - before <= MAX_GROWTH && peak - before <= MAX_PEAK_GROWTH;
  const mebibytes = (bytes) => `${(bytes / MiB).toFixed(1)} MiB`.padStart(10);
  const columns = `start ${mebibytes(start)}   before ${mebibytes(before)}   peak ${mebibytes(peak)}   after ${mebibytes(after)}`;
  const growth = `${after < before ? '-' : '+'}${mebibytes(Math.abs(after - before)).trim()}`;
  console.log(`  ${name}  ${columns}   ${growth}${isFlat ? '' : '  TOO MUCH'}`);
  return isFlat;
}

/** One stream of so many mebibytes; the server answers at its end. */
async function sendMuch(client, mebibytes, tell) {
  const stream = client.connection.newStream();
  const total = mebibytes * MiB;
  for (let sent = 0; sent < total; sent += CHUNK.length) {
    await stream.write(CHUNK);
    tell(sent / MiB);
  }
  await stream.end();
  await expectAnswer(stream, total);
}

/** So many streams, each with a kibibyte and its answer. */
async function openMany(client, count, tell) {
  for (let i = 0; i < count; i++) {
    const stream = client.connection.newStream();
    await stream.end(SMALL);
    await expectAnswer(stream, SMALL.length);
    tell(i);
  }
}

async function expectAnswer(stream, total) {
  const answer = [];
  for await (const chunk of stream) answer.push(chunk);
  const received = Number(Buffer.concat(answer).toString());
  if (received !== total) throw new Error(`${total} bytes were sent, ${received} came`);
}

async function startServer() {
  const server = fork(fileURLToPath(import.meta.url), ['--server']);
  server.on('exit', (code) => {
    if (code === 0) return;
    console.error('the server process failed');
    process.exit(1);
  });
  const [address] = await once(server, 'message');
  return [server, address];
}

/** The server's process: counts what comes on each stream, and tells the client how much it was. */
async function serve() {
  const { id, ...credentials } = createIdentity();
  const server = new QUICServer({ config: { ...credentials, applicationProtos: [PROTOCOL] } });
  server.addEventListener(events.EventQUICServerConnection.name, ({ detail: connection }) => {
    connection.addEventListener(events.EventQUICConnectionStream.name, ({ detail: stream }) => count(stream));
  });
  await server.start({ host: '127.0.0.1' });
  const look = watchMemory();
  process.on('message', () => void look().then((seen) => process.send(seen)));
  process.on('disconnect', () => void server.stop());
  process.send({ host: server.host, port: server.port, id });
}

async function count(stream) {
  let bytes = 0;
  for await (const chunk of stream) bytes += chunk.length;
  await stream.end(Buffer.from(String(bytes)));
}

function dial(host, port, id) {
  const verifyCallback = (chain) => {
    const verdict = x509.verifySuccessorChain(chain, { publicKeyFingerprints: [id] });
    return verdict.ok ? undefined : verdict.cryptoError;
  };
  return QUICClient.createQUICClient({ host, port, config: { verifyCallback, applicationProtos: [PROTOCOL] } });
}

function createIdentity() {
  const key = x509.generateKey('Ed25519');
  const now = Math.floor(Date.now() / 1000);
  const { pem: cert } = x509.createCertificate({ key, notBefore: now - 3600, notAfter: now + 24 * 3600 });
  return { key, cert, id: x509.publicKeyFingerprint(cert) };
}

/** Answers how to look at both processes. */
function watchBoth(server) {
  const lookHere = watchMemory();
  return async () => {
    const answered = once(server, 'message');
    server.send('look');
    const client = await lookHere();
    const [seen] = await answered;
    return { client, server: seen };
  };
}

/** Answers how to look: at the resident memory now, garbage collected, and at its peak since the last look. */
function watchMemory() {
  v8.setFlagsFromString('--expose-gc');
  const collect = vm.runInNewContext('gc');
  let peak = 0;
  const timer = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 20);
  timer.unref();
  return async () => {
    // Finalisers run between collections, and free what is native.
    for (let i = 0; i < 3; i++) {
      collect();
      await delay(50);
    }
    const now = process.memoryUsage.rss();
    const seen = { now, peak: Math.max(peak, now) };
    peak = now;
    return seen;
  };
}

/** Tells how far a phase is: redraws a line on a terminal, elsewhere writes a line at each quarter. */
function progressLine(title, count, unit) {
  let shown = -1;
  const tell = (done) => {
    const percent = Math.floor((done / count) * 100);
    if (percent === shown) return;
    shown = percent;
    const line = `  ${title}: ${percent} % of ${count} ${unit}`;
    if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${line}`);
    else if (percent % 25 === 0 && percent > 0) console.log(line);
  };
  tell.end = () => {
    if (process.stdout.isTTY) process.stdout.write('\r\x1b[K');
  };
  return tell;
}
