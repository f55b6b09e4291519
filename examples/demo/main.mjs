// The demo's main process: starts a rendezvous and two peers, tells the peers whom to meet, shows what happens, and decides
// whether it went well.
//
//   node examples/demo/main.mjs --help

import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { native } from 'polykey-quic';
import { Lab, WORLD } from '../../scripts/nat/lab.cjs';
import { Cast, Complaint } from './lib/cast.mjs';
import { HELP, readOptions } from './lib/options.mjs';
import { ProgressBar, bold, complain, formatBytes, formatRate, say, short, step, summary } from './lib/terminal.mjs';

const HOST = '127.0.0.1';

/** With --nat: what stands before A and before B. */
const NATS = ['port-restricted', 'port-restricted'];

/** What is going on, to be named when the time runs out. */
let activity;

process.exitCode = await main(process.argv.slice(2));

async function main(args) {
  let options;
  try {
    options = readOptions(args);
  } catch (error) {
    return explain(error);
  }
  if (options.help) {
    say(HELP);
    return 0;
  }
  const folder = options.out ?? fs.mkdtempSync(path.join(os.tmpdir(), 'polykey-quic-demo-'));
  const cast = new Cast();
  let lab;
  const stopWatching = watch(cast, options.timeout);
  try {
    if (options.nat) lab = buildLab();
    await perform(cast, { ...options, folder, lab });
    return 0;
  } catch (error) {
    return explain(error, options);
  } finally {
    await cast.end();
    lab?.close();
    stopWatching();
    if (options.out === undefined) fs.rmSync(folder, { recursive: true, force: true });
  }
}

/** A public segment, and two networks behind NATs of their own. */
function buildLab() {
  activity = 'the networks were being built';
  const problem = Lab.problem();
  if (problem !== undefined) throw new Complaint(`--nat can't be: ${problem}`);
  return new Lab().build(NATS);
}

/** Everything in its order. */
async function perform(cast, options) {
  say(bold('Two peers meet through a third, check who the other is, and move a file.'));
  say();
  if (options.nat) step('two networks are up', `each behind a NAT (${NATS[0]}), the rendezvous outside`);
  const rendezvous = await startRendezvous(cast, options);
  const [a, b] = await startPeers(cast, rendezvous, options);
  activity = 'A and B were trying to reach each other';
  b.tell('receive', { from: a.id, folder: options.folder });
  a.tell('send', { to: options.unknown ? someId() : b.registeredAs, file: options.file });
  await showIntroduction(rendezvous);
  if (options.impostor) await showRefusal(a, b, options);
  else await showTransfer(a, b, options);
}

async function startRendezvous(cast, { port, impostor, lab }) {
  activity = 'the rendezvous was starting';
  const host = lab === undefined ? HOST : WORLD.v4[0];
  const args = ['--listen', `${host}:${port}`, ...(impostor ? ['--gullible'] : [])];
  const rendezvous = cast.start('rendezvous', script('rendezvous.mjs'), args, lab?.prefix('world'));
  Object.assign(rendezvous, await rendezvous.expect('listening'));
  step('rendezvous listens', `on ${rendezvous.address}, identity ${short(rendezvous.id)}`);
  return rendezvous;
}

async function startPeers(cast, rendezvous, { impostor, lab }) {
  activity = 'the peers were registering';
  const wanted = someId();
  const args = ['--rendezvous', rendezvous.address, '--rendezvous-id', rendezvous.id];
  if (lab !== undefined) args.push('--listen', '0.0.0.0:0');
  const claim = impostor ? ['--claim', wanted] : [];
  const a = cast.start('A', script('peer.mjs'), [...args, '--name', 'A'], lab?.prefix('h1'));
  const b = cast.start('B', script('peer.mjs'), [...args, '--name', 'B', ...claim], lab?.prefix('h2'));
  for (const peer of [a, b]) {
    Object.assign(peer, await peer.expect('listening'), await peer.expect('registered'));
    step(`${peer.name} registered`, `listens on ${peer.address}, identity ${short(peer.id)}`);
  }
  b.registeredAs = impostor ? wanted : b.id;
  if (impostor) step('B lied', `it claims to be ${short(wanted)}, and is believed`);
  return [a, b];
}

async function showIntroduction(rendezvous) {
  const { datagrams } = await rendezvous.expect('introduced');
  const isHeard = datagrams.every((count) => count > 0);
  const total = datagrams.reduce((sum, count) => sum + count);
  step('rendezvous introduced them', isHeard ? `${total} datagrams until both had acknowledged` : 'not acknowledged');
}

async function showTransfer(a, b, { file, out }) {
  const { punches, who, connectMs } = await showMeeting(a, b);
  activity = 'A was sending the file';
  const { sent, received } = await transfer(a, b);
  if (received.sha256 !== sent.sha256 || sent.answer.sha256 !== sent.sha256) {
    throw new Complaint(`the hash is wrong: A sent ${sent.sha256}, B received ${received.sha256}`);
  }
  step('B has the file, unchanged', path.basename(file));
  const seconds = sent.ms / 1000;
  summary([
    ['A', `${a.address}, seen as ${a.observed}`],
    ['B', `${b.address}, seen as ${b.observed}`],
    ['A found B at', sent.dialled],
    ['punch packets', punches],
    ['connected', `${connectMs.toFixed(1)} ms, ${who}`],
    ['file', `${formatBytes(sent.bytes)} in ${seconds.toFixed(2)} s, ${formatRate(sent.bytes, seconds)}`],
    ['SHA-256', received.sha256],
    ...(out === undefined ? [] : [['stored as', received.file]]),
  ]);
}

async function showMeeting(a, b) {
  const [{ id: found, isDialled, connectMs }, { id }] = await Promise.all([
    unlessRefused(a, a.expect('connected')),
    b.expect('connected'),
  ]);
  const punches = await countPunches(a, b);
  step('they punched', punches);
  const who = isDialled ? 'A dialled B' : 'B dialled A';
  step('both dialled, one stays', `${who}, ${connectMs.toFixed(1)} ms after they were introduced`);
  if (id !== a.id || found !== b.id) throw new Complaint('somebody was let in who is not the one who is wanted');
  step('both proved who they are', 'Ed25519, mutual TLS 1.3');
  return { punches, who, connectMs };
}

async function countPunches(...peers) {
  const counts = await Promise.all(peers.map((peer) => peer.expect('punched')));
  return counts.map(({ sent, ms }, i) => `${peers[i].name} sent ${sent}, open after ${ms.toFixed(1)} ms`).join('; ');
}

async function transfer(a, b) {
  const bar = new ProgressBar();
  b.on('progress', ({ bytes, size }) => bar.update(bytes, size));
  try {
    const [sent, received] = await Promise.all([a.expect('sent'), b.expect('received')]);
    return { sent, received };
  } finally {
    bar.end();
  }
}

async function showRefusal(a, b, { file, folder }) {
  const trusted = () => Promise.reject(new Complaint('A trusted an impostor'));
  const { alert } = await Promise.race([a.expect('refused'), a.expect('connected').then(trusted)]);
  step('A dialled, and refused B', `TLS alert ${nameOf(alert)} went to B`);
  const { alert: heard } = await Promise.race([b.expect('keptOut'), b.expect('gotIn').then(trusted)]);
  step('B dialled, and was refused', `TLS alert ${nameOf(heard)} came from A`);
  if (a.hasReported('connected') || b.hasReported('connected')) throw new Complaint('a connection was shown');
  if (fs.existsSync(path.join(folder, path.basename(file)))) throw new Complaint('B received the file');
  summary([
    ['A wanted', b.registeredAs],
    ['A found', b.id],
    ['at', b.observed],
    ['alerts', `${alert} seen by A, ${heard} seen by B`],
    ['sent to B', 'no stream, no datagram, no byte: A completed no handshake'],
  ]);
}

async function unlessRefused(a, wanted) {
  const refused = a.expect('refused').then(({ alert }) => {
    throw new Complaint(`A refused B: TLS alert ${nameOf(alert)}`);
  });
  return Promise.race([wanted, refused]);
}

/** QUIC writes a TLS alert as 256 + alert (RFC 9001 §4.8). */
function nameOf(alert) {
  const [name] = Object.entries(native.CryptoError).find(([, code]) => code === alert) ?? ['unknown'];
  return `${name} (${alert} = 256 + ${alert - 256})`;
}

/** The identity of somebody who isn't here. */
function someId() {
  return randomBytes(32).toString('hex');
}

function script(name) {
  return fileURLToPath(new URL(name, import.meta.url));
}

/** Ends the demo when the time runs out, or when somebody wants it to end. Answers how to stop watching. */
function watch(cast, seconds) {
  const timer = setTimeout(() => {
    cast.fail(new Complaint(`gave up after ${seconds} s, while ${activity} (--timeout sets another limit)`));
  }, seconds * 1000);
  const onSignal = (signal) => cast.fail(Object.assign(new Complaint(`interrupted while ${activity}`), { signal }));
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.once(signal, onSignal);
  return () => {
    clearTimeout(timer);
    for (const signal of signals) process.off(signal, onSignal);
  };
}

/** Says what went wrong; answers the exit code. */
function explain(error, { port } = {}) {
  if (!(error instanceof Complaint)) {
    complain(error.stack);
    return 1;
  }
  const isInUse = error.details?.cause === 'EADDRINUSE';
  complain(isInUse ? `port ${port} of ${HOST} is in use: choose another --port, or none` : error.message);
  return error.signal === undefined ? 1 : 128 + os.constants.signals[error.signal];
}
