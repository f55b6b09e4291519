// Whole Polykey agents on @matrixai/quic 1.3.0 and on this package, in one run, taking turns.
//
//   node benches/polykey.mjs [rounds]      by default 5

import { fork } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';

import { installPolykey } from '../scripts/lib/polykey.mjs';
import { root } from '../scripts/lib/process.mjs';
import { fail, say, table } from '../scripts/lib/terminal.mjs';
import { setup } from '../scripts/setup.mjs';

const rounds = Number(process.argv[2] ?? 5);
const MiB = 1024 * 1024;
/** What takes longer than this counts as hanging. */
const LIMIT_MS = 30_000;

/** What is measured, between an agent that dials and one that serves. */
const MEASUREMENTS = [
  ['start of an agent to its first answered call', ({ startMs, connectMs, callMs }) => startMs + connectMs + callMs],
  ['of that: dial to the first answered call', ({ connectMs, callMs }) => connectMs + callMs],
  ['4 MiB there and back in one call', ({ bytesMs }) => bytesMs],
  ['60 calls at once, 8 KiB there and back each', ({ valuesMs }) => valuesMs],
];

await setup();
const sides = { theirs: [], ours: [] };
const directories = {};
for (const which of Object.keys(sides)) {
  const { directory, problem } = await installPolykey(which);
  if (problem !== undefined) fail('Polykey could not be installed', ...problem.split('\n'));
  directories[which] = directory;
}
for (let round = 1; round <= rounds; round++) {
  say(`Round ${round} of ${rounds}`);
  // First one, then the other: who comes second finds warmer caches.
  const order = round % 2 === 1 ? ['theirs', 'ours'] : ['ours', 'theirs'];
  for (const which of order) sides[which].push(await measure(directories[which]));
}

const rows = MEASUREMENTS.map(([name, pick]) => {
  const [before, after] = [sides.theirs, sides.ours].map((results) => median(results.map(pick)));
  const ratio = Number.isFinite(before / after) ? `${(before / after).toFixed(1)} ×` : '–';
  return [name, shown(before), shown(after), ratio];
});
const title = `median of ${rounds} rounds`;
say(`\n${table([[title, '@matrixai/quic 1.3.0', 'polykey-quic', 'faster'], ...rows])}`);

async function measure(directory) {
  const [server, client] = [startAgent(directory), startAgent(directory)];
  try {
    const identity = await server.do('start', {});
    const { startMs } = await client.do('start', {});
    const begin = performance.now();
    await client.do('connect', identity);
    const connectMs = performance.now() - begin;
    const callMs = await client.do('timeCall', identity);
    // Once without looking, so that both have compiled what they run.
    await client.do('timeBytes', { ...identity, bytes: MiB });
    const bytesMs = await limited(client.do('timeBytes', { ...identity, bytes: 4 * MiB }));
    await limited(client.do('timeValues', { ...identity, count: 10, bytes: 8 * 1024 }));
    const valuesMs = await limited(client.do('timeValues', { ...identity, count: 60, bytes: 8 * 1024 }));
    return { startMs, connectMs, callMs, bytesMs, valuesMs };
  } finally {
    await Promise.all([client.end(), server.end()]);
  }
}

/** Milliseconds; Infinity for what fails or hangs. */
async function limited(measured) {
  let timer;
  const limit = new Promise((resolve) => {
    timer = setTimeout(resolve, LIMIT_MS, Infinity);
  });
  try {
    return await Promise.race([measured, limit]);
  } catch {
    return Infinity;
  } finally {
    clearTimeout(timer);
  }
}

/** An agent in a process of its own, as the tests have them. */
function startAgent(directory) {
  const state = fs.mkdtempSync(path.join(os.tmpdir(), 'polykey-bench-'));
  const child = fork(path.join(root, '__tests__', 'polykey', 'agent.mjs'), [directory, state], {
    serialization: 'advanced',
  });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const pending = new Map();
  let lastId = 0;
  child.on('message', ([id, outcome, value]) => {
    const { resolve, reject } = pending.get(id);
    pending.delete(id);
    if (outcome === 'ok') resolve(value);
    else reject(new Error(`${value.name}: ${value.message}`));
  });
  void exited.then(() => {
    for (const { reject } of pending.values()) reject(new Error('the agent has ended'));
  });
  return {
    do(command, argument) {
      return new Promise((resolve, reject) => {
        pending.set(++lastId, { resolve, reject });
        child.send([lastId, command, argument]);
      });
    },
    async end() {
      child.kill('SIGKILL');
      await exited;
      fs.rmSync(state, { recursive: true, force: true });
    },
  };
}

function shown(ms) {
  return ms === Infinity ? 'fails or hangs' : `${ms.toFixed(0)} ms`;
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
