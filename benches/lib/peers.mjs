// What adapters need (`adapter.needs`), where it is, and how to load it.
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

/** Packages of npm, by the folder that they are in. */
export const PACKAGES = {
  mx2: ['@matrixai/quic@2.0.9'],
  mx1: ['@matrixai/quic@1.3.0'],
  infis: ['@infisical/quic@1.0.8'],
  libp2p: ['@chainsafe/libp2p-quic@1.1.8'], // last line for Node 20
  libp2p2: ['@chainsafe/libp2p-quic@2.1.1'], // Node >= 22
  cs3: ['@currentspace/http3@0.9.0'], // Node >= 24
  utp: ['utp-native@2.5.3'],
  node24: ['node@24'], // a node 24 binary, for the two above
};
/** The program in native-limit/. */
export const NATIVE_LIMIT = 'native-limit';

const inState = (name) => fileURLToPath(new URL(`../../.setup/${name}`, import.meta.url));
export const peersDir = inState('peers');
export const nativeDir = inState(NATIVE_LIMIT);
export const nativeFile = join(nativeDir, 'release', NATIVE_LIMIT);

export const path = (...p) => join(peersDir, ...p);
export const NODE_24 = path('node24', 'node_modules', 'node', 'bin', 'node');
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
