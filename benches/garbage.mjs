// What garbage costs: a sender throws random datagrams of every length and first byte at a socket that has live connections,
// which go on echoing. None may break, and none may be answered wrongly.
//
//   npm run bench:garbage -- [--seconds 10] [--rate 100000] [--connections 20] [--throwers 2]
//
// Exit code 1 if a connection broke or an echo was wrong. README.md has a result.

import { Buffer } from 'node:buffer';
import { fork } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import dgram from 'node:dgram';
import { once } from 'node:events';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { QUICClient, QUICServer, QUICSocket, events, x509 } from 'polykey-quic';

const PROTOCOL = 'garbage/1';
const HOST = '127.0.0.1';
/** The sender's own randomness would cost more than sending: it takes slices of this. */
const NOISE = randomBytes(1 << 20);

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    rate: { type: 'string', default: '100000' },
    connections: { type: 'string', default: '20' },
    /** One process alone doesn't throw 100,000 a second. */
    throwers: { type: 'string', default: '2' },
    /** Only for the process that the script itself starts: throws at this port. */
    throw: { type: 'string' },
  },
});

const seconds = Number(options.seconds);
if (options.throw !== undefined) await throwAt(Number(options.throw), Number(options.rate));
else process.exitCode = await main();

async function main() {
  const socket = new QUICSocket();
  await socket.start({ host: HOST });
  const clients = await connect(socket, Number(options.connections));
  const quiet = await measure(clients, socket);
  const count = Number(options.throwers);
  const args = ['--throw', `${socket.port}`, '--rate', `${Number(options.rate) / count}`];
  const throwers = Array.from({ length: count }, () => fork(fileURLToPath(import.meta.url), args));
  await Promise.all(throwers.map((thrower) => once(thrower, 'message')));
  const noisy = await measure(clients, socket);
  for (const thrower of throwers) thrower.send('stop');
  const answers = await Promise.all(throwers.map((thrower) => once(thrower, 'message')));
  const thrown = answers.reduce((sum, [number]) => sum + number, 0);
  const broken = clients.filter(({ connection }) => connection.closed).length;
  tell('quiet', quiet);
  tell('under garbage', noisy);
  const { strays, received, invalid } = socket.stats.endpoint;
  console.log(
    `thrown: ${thrown} (${Math.round(thrown / seconds)} a second); strays ${strays}, invalid ${invalid}, received ${received}`,
  );
  console.log(`connections: ${clients.length}, broken: ${broken}, wrong echoes: ${quiet.wrong + noisy.wrong}`);
  await Promise.all(clients.map((client) => client.destroy()));
  await socket.stop({ force: true });
  return broken + quiet.wrong + noisy.wrong === 0 ? 0 : 1;
}

/** Connections to a server on the socket, each from a socket of its own. */
async function connect(socket, count) {
  const key = x509.generateKey('Ed25519');
  const now = Math.floor(Date.now() / 1000);
  const { pem: cert } = x509.createCertificate({
    key,
    commonName: 'garbage',
    notBefore: now - 60,
    notAfter: now + 3600,
  });
  const server = new QUICServer({ socket, config: { key, cert, applicationProtos: [PROTOCOL] } });
  server.addEventListener(events.EventQUICServerConnection.name, ({ detail }) => echo(detail));
  await server.start();
  const config = { verifyCallback: () => undefined, applicationProtos: [PROTOCOL] };
  const dial = () => QUICClient.createQUICClient({ host: HOST, port: socket.port, localHost: HOST, config });
  return Promise.all(Array.from({ length: count }, dial));
}

function echo(connection) {
  connection.addEventListener(events.EventQUICConnectionStream.name, async ({ detail: stream }) => {
    for await (const chunk of stream) await stream.write(chunk);
    await stream.end();
  });
}

/** Echoes on all connections for some seconds; answers how many, how many were wrong, and the CPU's time. */
async function measure(clients, socket) {
  const end = performance.now() + seconds * 1000;
  const before = process.cpuUsage();
  const start = socket.stats.endpoint.received;
  const counts = await Promise.all(clients.map((client) => echoUntil(end, client.connection)));
  const { user, system } = process.cpuUsage(before);
  const sum = (name) => counts.reduce((total, count) => total + count[name], 0);
  const received = socket.stats.endpoint.received - start;
  return { echoes: sum('echoes'), wrong: sum('wrong'), received, cpu: (user + system) / 1e6 / seconds };
}

async function echoUntil(end, connection) {
  const count = { echoes: 0, wrong: 0 };
  while (performance.now() < end) {
    const text = randomBytes(64);
    const stream = connection.newStream();
    await stream.end(text);
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    if (Buffer.concat(chunks).equals(text)) count.echoes += 1;
    else count.wrong += 1;
  }
  return count;
}

function tell(name, { echoes, received, cpu }) {
  const perSecond = (number) => Math.round(number / seconds);
  console.log(
    `${name}: ${perSecond(echoes)} echoes/s, ${perSecond(received)} datagrams/s received, ${cpu.toFixed(2)} cores`,
  );
}

/** Throws datagrams of 0 to 1500 random bytes until told to stop, so many a second at most; says how many. */
async function throwAt(port, rate) {
  const socket = dgram.createSocket('udp4');
  socket.connect(port, HOST);
  await once(socket, 'connect');
  let isOver = false;
  let thrown = 0;
  process.once('message', () => (isOver = true));
  process.send('throwing');
  const start = performance.now();
  while (!isOver) {
    const due = Math.min(((performance.now() - start) / 1000) * rate - thrown, 1000);
    for (let i = 0; i < due; i++) {
      const length = randomInt(1500);
      const at = randomInt(NOISE.length - length);
      socket.send(NOISE, at, length, () => undefined);
      thrown += 1;
    }
    await delay(1);
  }
  await new Promise((resolve) => process.send(thrown, resolve));
  process.disconnect();
  socket.close();
}
