// One measured process. Started by run.mjs as:
//   node --expose-gc worker.mjs <server|client> <adapter> <workload> <json>
// Talks to run.mjs over stdin/stdout lines (see README.md, "Process protocol").
import { createInterface } from 'node:readline';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeServer, makeClient } from './workloads.mjs';

const [role, adapterName, workload, json] = process.argv.slice(2);
const opts = JSON.parse(json);
const adapter = (await import(`./adapters/${adapterName}.mjs`)).default;

const emit = (msg) => process.stdout.write('@@' + JSON.stringify(msg) + '\n');
const rss = () => {
  globalThis.gc?.();
  globalThis.gc?.();
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024;
};
const fail = (e) => {
  emit({ ev: 'error', message: String(e?.stack ?? e).slice(0, 2000) });
  process.exitCode = 1;
  setTimeout(() => process.exit(1), 50);
};
process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);

const pki = (f) => readFileSync(join(opts.pki, f), 'utf8');
const ctx = {
  host: '127.0.0.1',
  workload,
  params: opts.params,
  alg: opts.alg,
  ca: pki('ca.pem'),
  server: { cert: pki('server.pem'), key: pki('server.key') },
  client: { cert: pki('client.pem'), key: pki('client.key') },
};

let cpu0 = process.cpuUsage();
const cpuMs = () => {
  const d = process.cpuUsage(cpu0);
  return (d.user + d.system) / 1000;
};

const handlers = {};
createInterface({ input: process.stdin }).on('line', (line) => {
  Promise.resolve(handlers[line.trim()]?.()).catch(fail);
});
handlers.quit = () => process.exit(0);

if (role === 'server') {
  const server = makeServer(workload);
  const { port } = await adapter.listen(ctx, (c) => server.onConnection(c));
  handlers.mark = () => {
    const r = rss();
    server.reset();
    cpu0 = process.cpuUsage();
    emit({ ev: 'marked', rss: r });
  };
  handlers.stats = () => {
    const c = cpuMs();
    emit({ ev: 'stats', cpuMs: c, rss: rss(), ...server.stats, ...server.measured });
  };
  emit({ ev: 'listening', port });
} else {
  ctx.port = opts.port;
  const client = makeClient(workload, opts.params, () => adapter.connect(ctx));
  await client.prepare();
  const rss0 = rss();
  handlers.go = async () => {
    cpu0 = process.cpuUsage();
    const result = await client.run();
    const c = cpuMs();
    emit({ ev: 'result', cpuMs: c, rss0, rss: rss(), ...result });
  };
  emit({ ev: 'ready' });
}
