// Adapter factory for the native-limit binary (plain quiche, no JavaScript).
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { existsSync } from 'node:fs';

const here = dirname(fileURLToPath(import.meta.url));
export const bin = () =>
  process.env.BENCH_NATIVE_BIN ?? join(here, '..', 'native-limit', 'target', 'release', 'native-limit');
export const native = (io, { notes, without = [], extra = {} }) => ({
  features: ['connect', 'stream', 'mux', 'mtls', 'dgram'].filter((f) => !without.includes(f)),
  notes,
  version: () => (existsSync(bin()) ? 'quiche 0.30' : 'NOT BUILT'),
  command: ({ role, workload, opts }) => [
    bin(),
    [
      role,
      io,
      workload,
      `pki=${opts.pki}`,
      `port=${opts.port ?? 0}`,
      ...Object.entries({ ...opts.params, ...extra }).map(([k, v]) => `${k}=${v}`),
    ],
  ],
});
