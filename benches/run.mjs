// Orchestrator. node run.mjs --help
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { mkdtempSync, writeFileSync, rmSync, mkdirSync } from 'node:fs';
import { tmpdir, loadavg, cpus } from 'node:os';
import { join, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { fail } from '../scripts/lib/terminal.mjs';
import { ALL_PEERS, loadAdapters } from './lib/adapters.mjs';
import { installFor } from './lib/install.mjs';
import { makePki } from './lib/x509.mjs';
import { DEFAULTS, NEEDS, NEEDS_NODE, TIMES } from './workloads.mjs';
import { summarize, markdown } from './lib/report.mjs';
import { targets } from './lib/targets.mjs';

const { values: arg } = parseArgs({
  options: {
    peers: { type: 'string' },
    workloads: { type: 'string', default: Object.keys(DEFAULTS).join(',') },
    reps: { type: 'string', default: '3' },
    baseline: { type: 'string', default: 'node-tls' },
    alg: { type: 'string', default: 'p256' },
    timeout: { type: 'string', default: '60' },
    set: { type: 'string', multiple: true, default: [] },
    out: { type: 'string' },
    verbose: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (arg.help) {
  console.log(`node run.mjs [--peers a,b | all] [--workloads ${Object.keys(DEFAULTS).join(',')}]
  [--reps 3] [--baseline node-tls] [--alg p256|ed25519] [--timeout seconds]
  [--set bulk.mib=64] [--out results/name.json] [--verbose]
peers: ${ALL_PEERS.join(', ')}
  by default those that the targets speak of; what they need is installed first`);
  process.exit(0);
}
const asked = await loadAdapters(arg.peers);
const workloads = arg.workloads.split(',').filter(Boolean);
const unknown = workloads.filter((name) => !(name in DEFAULTS));
if (unknown.length > 0) {
  fail(`no such workload: ${unknown.join(', ')}`, `there are: ${Object.keys(DEFAULTS).join(', ')}`);
}
const adapters = await installFor(asked);
const peers = Object.keys(adapters);
if (peers.length === 0) fail('no peer is left to be measured');
const reps = Number(arg.reps);
const timeoutMs = Number(arg.timeout) * 1000;
const overrides = {};
for (const s of arg.set) {
  const m = /^(\w+)\.(\w+)=(\d+)$/.exec(s);
  if (!m) throw new Error(`--set ${s}: expected workload.param=number`);
  (overrides[m[1]] ??= {})[m[2]] = Number(m[3]);
}

const pkiDir = mkdtempSync(join(tmpdir(), 'bench-pki-'));
process.on('exit', () => rmSync(pkiDir, { recursive: true, force: true }));
const pki = makePki(arg.alg);
const put = (f, v) => writeFileSync(join(pkiDir, f), v, { mode: 0o600 });
put('ca.pem', pki.ca);
put('server.pem', pki.server.cert);
put('server.key', pki.server.key);
put('client.pem', pki.client.cert);
put('client.key', pki.client.key);

// A measured child: waits for '@@{json}' lines, sends command lines, always
// ended by its own pid.
class Child {
  constructor(adapter, role, name, workload, opts) {
    const json = JSON.stringify({ ...opts, pki: pkiDir, alg: arg.alg });
    const external = adapter.command?.({ role, workload, opts: JSON.parse(json) });
    const node = adapter.node?.() ?? process.execPath;
    const [cmd, args] = external ?? [
      node,
      [
        '--expose-gc',
        '--no-warnings',
        ...(process.env.BENCH_NODE_ARGS?.split(' ') ?? []),
        ...(adapter.nodeArgs ?? []),
        fileURLToPath(new URL('worker.mjs', import.meta.url)),
        role,
        name,
        workload,
        json,
      ],
    ];
    this.role = role;
    this.waiting = new Map();
    this.seen = [];
    this.err = '';
    this.p = spawn(cmd, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.p.stdin.on('error', () => {});
    this.exited = new Promise((r) =>
      this.p.once('exit', (code, sig) => {
        this.dead = `${role} exited (${code ?? sig})`;
        for (const w of this.waiting.values()) w.reject(new Error(`${this.dead}: ${this.err.slice(-400)}`));
        r();
      }),
    );
    this.p.on('error', (e) => {
      this.err += e.message;
    });
    this.p.stderr.on('data', (d) => {
      this.err = (this.err + d).slice(-4000);
      if (arg.verbose) process.stderr.write(`[${name} ${role}] ${d}`);
    });
    createInterface({ input: this.p.stdout }).on('line', (l) => {
      if (!l.startsWith('@@')) {
        if (arg.verbose) console.error(`[${name} ${role}] ${l}`);
        return;
      }
      const m = JSON.parse(l.slice(2));
      if (m.ev === 'error') {
        for (const w of this.waiting.values()) w.reject(new Error(`${role}: ${m.message}`));
        this.failed = m.message;
        return;
      }
      const w = this.waiting.get(m.ev);
      if (w) {
        this.waiting.delete(m.ev);
        w.resolve(m);
      } else this.seen.push(m);
    });
  }
  wait(ev) {
    const i = this.seen.findIndex((m) => m.ev === ev);
    if (i >= 0) return Promise.resolve(this.seen.splice(i, 1)[0]);
    if (this.failed) return Promise.reject(new Error(`${this.role}: ${this.failed}`));
    if (this.dead) return Promise.reject(new Error(`${this.dead}: ${this.err.slice(-400)}`));
    return new Promise((resolve, reject) => this.waiting.set(ev, { resolve, reject }));
  }
  ask(cmd, ev) {
    this.p.stdin.write(cmd + '\n');
    return this.wait(ev);
  }
  async stop() {
    if (this.dead) return;
    this.p.stdin.write('quit\n');
    const t = setTimeout(() => this.p.kill('SIGKILL'), 3000);
    await this.exited;
    clearTimeout(t);
  }
}

const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
async function once(adapter, name, workload) {
  const params = { ...DEFAULTS[workload], ...adapter.params?.[workload], ...overrides[workload] };
  const server = new Child(adapter, 'server', name, workload, { params });
  let client, timer;
  const guard = new Promise((_, rej) => {
    timer = setTimeout(() => rej(new Error(`timeout after ${timeoutMs / 1000}s`)), timeoutMs);
  });
  guard.catch(() => {});
  const body = async () => {
    const { port } = await server.wait('listening');
    client = new Child(adapter, 'client', name, workload, { params, port });
    await client.wait('ready');
    const mark = await server.ask('mark', 'marked');
    const c = await Promise.race([client.ask('go', 'result'), failure(server)]);
    if (workload.startsWith('idle')) await sleep(1500);
    const s = await server.ask('stats', 'stats');
    return { params, client: c, server: { ...s, rss0: mark.rss } };
  };
  const failure = (child) =>
    new Promise((_, rej) => {
      child.waiting.set('never', { resolve() {}, reject: rej });
    });
  try {
    const r = await Promise.race([body(), guard]);
    return { ok: true, ...r, metrics: derive(workload, r) };
  } catch (e) {
    return { ok: false, params, error: e.message };
  } finally {
    clearTimeout(timer);
    await client?.stop();
    await server.stop();
  }
}

function derive(workload, { params, client, server }) {
  const GiB = 1024 ** 3;
  const m = {};
  if (workload === 'bulk' || workload === 'streams') {
    m.mibps = client.mibps;
    m.cpuClientPerGiB = client.cpuMs / 1000 / (client.bytes / GiB);
    m.cpuServerPerGiB = server.cpuMs / 1000 / (client.bytes / GiB);
    m.cpuPerGiB = m.cpuClientPerGiB + m.cpuServerPerGiB;
    if (workload === 'streams') m.stalled = client.stalled ?? 0;
  } else if (workload.startsWith('rpc')) {
    Object.assign(m, { rps: client.rps, p50us: client.p50us, p99us: client.p99us });
    m.cpuUsPerReq = ((client.cpuMs + server.cpuMs) * 1000) / (client.done ?? params.count);
    m.stalled = (client.stalled ?? 0) + (client.finMissing ?? 0);
  } else if (workload.startsWith('hs')) {
    Object.assign(m, { hps: client.hps, p50us: client.p50us });
    m.cpuMsClient = client.cpuMs / (client.done ?? params.count);
    m.cpuMsServer = server.cpuMs / (client.done ?? params.count);
    m.cpuMsPerHs = m.cpuMsClient + m.cpuMsServer;
    // A client is done before its server is: half of a mutual handshake would be cheaper than a whole one.
    if (server.conns < params.count) throw new Error(`server saw only ${server.conns} complete handshakes`);
  } else if (workload.startsWith('idle')) {
    if (server.conns < params.count) throw new Error(`server saw only ${server.conns} connections`);
    m.openSecs = client.secs;
    m.serverKiBPerConn = (server.rss - server.rss0) / 1024 / params.count;
    m.clientKiBPerConn = (client.rss - client.rss0) / 1024 / params.count;
  } else if (workload === 'fair') {
    m.mibps = client.mibps;
    m.rpcP99ms = client.rpcP99;
    m.lateClientMs = client.lateP99;
    m.lateServerMs = server.lateP99;
  } else if (workload === 'dgram') {
    m.sentps = client.sent / client.secs;
    m.deliveredPct = (100 * server.dgrams) / client.sent;
    m.deliveredps = server.dgrams / client.secs;
    m.cpuUsPerDgram = ((client.cpuMs + server.cpuMs) * 1000) / Math.max(1, server.dgrams);
  }
  return m;
}

const runs = [];
const started = new Date().toISOString();
const takesPart = (workload) => (name) => {
  const { features, command } = adapters[name];
  return NEEDS[workload].every((f) => features.includes(f)) && !(NEEDS_NODE.has(workload) && command !== undefined);
};
const plan = workloads.flatMap((workload) => {
  const part = peers.filter(takesPart(workload));
  // Rotate the order, so that no peer always runs right after the same one.
  return Array.from({ length: reps * (TIMES[workload] ?? 1) }, (_, rep) =>
    part.map((_, i) => ({ workload, rep, name: part[(i + rep) % part.length] })),
  ).flat();
});
for (const [at, { workload, rep, name }] of plan.entries()) {
  if (runs.filter((r) => r.peer === name && r.workload === workload && !r.ok).length >= 2) continue;
  const load = loadavg()[0];
  const r = await once(adapters[name], name, workload);
  runs.push({ rep, workload, peer: name, load, ...r });
  const brief = r.ok
    ? Object.entries(r.metrics)
        .map(([k, v]) => `${k}=${v.toPrecision(4)}`)
        .join(' ')
    : `FAILED ${r.error.split('\n')[0]}`;
  console.error(`${at + 1}/${plan.length} [${workload} #${rep + 1}] ${name}: ${brief}`);
}

const result = {
  started,
  finished: new Date().toISOString(),
  node: process.version,
  cpus: `${cpus().length} x ${cpus()[0].model}`,
  alg: arg.alg,
  baseline: arg.baseline,
  versions: Object.fromEntries(peers.map((p) => [p, adapters[p].version?.() ?? ''])),
  notes: Object.fromEntries(peers.map((p) => [p, adapters[p].notes ?? ''])),
  runs,
};
result.summary = summarize(result);
if (arg.out) {
  mkdirSync(dirname(arg.out), { recursive: true });
  writeFileSync(arg.out, JSON.stringify(result, null, 1));
}
console.log(markdown(result));
console.log(targets(result));
