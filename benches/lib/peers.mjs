// Where the npm packages under test live, and how to load them.
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

export const peersDir = () => resolve(process.env.BENCH_PEERS_DIR ?? 'peers');
export const path = (...p) => join(peersDir(), ...p);
export const load = (...p) => import(pathToFileURL(path(...p)).href);
export const requireFrom = (...p) => createRequire(path(...p));
export const versionOf = (...p) => {
  try {
    return JSON.parse(readFileSync(path(...p, 'package.json'), 'utf8')).version;
  } catch {
    return '';
  }
};

// Windows used for every QUIC peer that lets us set them.
export const CONN_WINDOW = 16 * 1024 * 1024;
export const STREAM_WINDOW = 8 * 1024 * 1024;
export const MAX_STREAMS = 1000;
export const UDP_PAYLOAD = 1350;
