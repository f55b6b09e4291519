// Installs the packages under test, each in its own folder, with npm's ordinary
// client:   node setup-peers.mjs [name ...]        (into BENCH_PEERS_DIR, default ./peers)
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { peersDir } from './lib/peers.mjs';

const PEERS = {
  mx2: ['@matrixai/quic@2.0.9'],
  mx1: ['@matrixai/quic@1.3.0'],
  infis: ['@infisical/quic@1.0.8'],
  libp2p: ['@chainsafe/libp2p-quic@1.1.8'], // last line for Node 20
  libp2p2: ['@chainsafe/libp2p-quic@2.1.1'], // Node >= 22
  cs3: ['@currentspace/http3@0.9.0'], // Node >= 24
  utp: ['utp-native@2.5.3'],
  node24: ['node@24'], // a node 24 binary, for the two above
};
const only = process.argv.slice(2);
const unknown = only.filter((name) => !(name in PEERS));
if (unknown.length > 0) {
  console.error(`no such peer: ${unknown.join(', ')}; there are ${Object.keys(PEERS).join(', ')}`);
  process.exit(2);
}
for (const [dir, specs] of Object.entries(PEERS)) {
  if (only.length && !only.includes(dir)) continue;
  const cwd = join(peersDir(), dir);
  mkdirSync(cwd, { recursive: true });
  if (existsSync(join(cwd, 'node_modules'))) {
    console.log(dir, 'present');
    continue;
  }
  writeFileSync(join(cwd, 'package.json'), '{"private":true}\n');
  const r = spawnSync('npm', ['i', '--no-audit', '--no-fund', '--loglevel=error', ...specs], { cwd, stdio: 'inherit' });
  console.log(dir, specs.join(' '), r.status === 0 ? 'ok' : `failed (${r.status})`);
}
