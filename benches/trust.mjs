// What trust costs: handshakes with and without a callback, by key exchange, and verdicts on chains.
//
//   npm run bench:trust                    everything
//   npm run bench:trust -- --handshakes 200 --rounds 3
//
// Client and server run in one process over 127.0.0.1. The ways take turns within each round, so that a busy machine
// is busy for all; the table has medians over the rounds. CPU counts both ends, and all threads.

import process from 'node:process';
import { parseArgs } from 'node:util';

import { QUICClient, QUICServer, QUICSocket, events, x509 } from 'polykey-quic';

const { values } = parseArgs({
  options: { handshakes: { type: 'string', default: '400' }, rounds: { type: 'string', default: '5' } },
});
const handshakes = Number(values.handshakes);
const rounds = Number(values.rounds);
/** Dials under way at once. */
const WIDTH = 16;

const now = Math.floor(Date.now() / 1000);
const valid = { notBefore: now - 3600, notAfter: now + 3600 };
const caKey = x509.generateKey('Ed25519');
const ca = x509.createCertificate({ key: caKey, commonName: 'bench', isCa: true, ...valid }).pem;
const issue = () => {
  const key = x509.generateKey('Ed25519');
  const names = { dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'] };
  const issuer = { certificate: ca, key: caKey };
  return { key, cert: x509.createCertificate({ key, commonName: 'leaf', ...names, ...valid, issuer }).pem };
};
const anchors = new x509.TrustAnchors(ca);
const judge = (certs) => {
  const verdict = x509.verifyChain(certs, { anchors });
  return verdict.ok ? undefined : verdict.cryptoError;
};

const classical = { groups: 'X25519' };
const ways = {
  'nobody judges': { client: { verifyPeer: false }, server: {} },
  'BoringSSL judges, both ends': { client: { ca }, server: { ca, verifyPeer: true } },
  'a callback trusts, both ends': { client: callback(() => undefined), server: callback(() => undefined) },
  'a callback verifies, both ends': { client: callback(judge), server: callback(judge) },
  'an async callback verifies, both ends': {
    client: callback(async (certs) => judge(certs)),
    server: callback(async (certs) => judge(certs)),
  },
  'nobody judges, X25519MLKEM768': { client: { verifyPeer: false }, server: {}, groups: 'X25519MLKEM768' },
  'nobody judges, resumed': { client: { verifyPeer: false }, server: {}, resumes: true },
};

function callback(verifyCallback) {
  return { verifyPeer: true, verifyCallback };
}

async function measureHandshakes({ client, server, resumes = false, groups = classical.groups }) {
  const listener = new QUICServer({ config: { ...issue(), ...server, groups } });
  await listener.start({ host: '127.0.0.1' });
  const socket = new QUICSocket();
  await socket.start({ host: '127.0.0.1' });
  const config = { ...issue(), ...client, groups };
  const dial = (session) =>
    QUICClient.createQUICClient({ host: '127.0.0.1', port: listener.port, socket, config, session });
  const session = resumes ? await sessionOf(await dial()) : undefined;
  const made = [];
  let left = handshakes;
  const begun = { cpu: process.cpuUsage(), time: process.hrtime.bigint() };
  const lane = async () => {
    while (left-- > 0) {
      const one = await dial(session);
      await one.connection.confirmed;
      made.push(one);
    }
  };
  await Promise.all(Array.from({ length: WIDTH }, lane));
  const cpu = process.cpuUsage(begun.cpu);
  const seconds = Number(process.hrtime.bigint() - begun.time) / 1e9;
  await Promise.all(made.map((one) => one.destroy()));
  await listener.stop();
  await socket.stop({ force: true });
  return { perSecond: handshakes / seconds, cpuMs: (cpu.user + cpu.system) / 1000 / handshakes };
}

async function sessionOf(client) {
  const session = await new Promise((resolve) =>
    client.connection.addEventListener(events.EventQUICConnectionSession.name, ({ detail }) => resolve(detail)),
  );
  await client.destroy();
  return session;
}

/** A chain of so many certificates, leaf first, DER, and what it leads to. */
function chainOf(length, algorithm) {
  const chain = [];
  let issuer;
  for (let i = 0; i < length; i++) {
    const key = x509.generateKey(algorithm);
    const made = x509.createCertificate({ key, commonName: `link ${i}`, isCa: true, ...valid, issuer });
    chain.unshift(made.der);
    issuer = { certificate: made.pem, key };
  }
  return chain;
}

/** Microseconds of CPU per call, all threads. */
async function measureVerdict(run) {
  const calls = 200;
  for (let i = 0; i < 20; i++) await run();
  const begun = process.cpuUsage();
  for (let i = 0; i < calls; i++) {
    const verdict = run();
    if (!(verdict instanceof Promise ? await verdict : verdict).ok) throw new Error('the chain is refused');
  }
  const { user, system } = process.cpuUsage(begun);
  return (user + system) / calls;
}

const verdicts = {};
for (const algorithm of ['Ed25519', 'P-256', 'P-384']) {
  const chain = chainOf(10, algorithm);
  const options = { anchors: new x509.TrustAnchors(chain.at(-1)) };
  const publicKeys = [x509.parseCertificates(chain.at(-1))[0].publicKey];
  verdicts[`verifyChain, 10 × ${algorithm}`] = () => x509.verifyChain(chain, options);
  verdicts[`verifySuccessorChain, 10 × ${algorithm}`] = () => x509.verifySuccessorChain(chain, { publicKeys });
  verdicts[`verifyChainAsync, 10 × ${algorithm}`] = () => x509.verifyChainAsync(chain, options);
}

const median = (numbers) => numbers.slice().sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
const print = (line) => process.stdout.write(`${line}\n`);

const results = new Map([...Object.keys(ways), ...Object.keys(verdicts)].map((name) => [name, []]));
for (let round = 0; round < rounds; round++) {
  for (const [name, way] of Object.entries(ways)) results.get(name).push(await measureHandshakes(way));
  for (const [name, run] of Object.entries(verdicts)) results.get(name).push(await measureVerdict(run));
}
print('| handshakes | per second | CPU ms each |\n| --- | ---: | ---: |');
for (const name of Object.keys(ways)) {
  const all = results.get(name);
  const perSecond = median(all.map((it) => it.perSecond)).toFixed(0);
  print(`| ${name} | ${perSecond} | ${median(all.map((it) => it.cpuMs)).toFixed(2)} |`);
}
print('\n| verdicts | CPU µs each |\n| --- | ---: |');
for (const name of Object.keys(verdicts)) print(`| ${name} | ${median(results.get(name)).toFixed(0)} |`);
