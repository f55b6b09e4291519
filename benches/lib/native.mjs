// Adapter factory for the native-limit binary (plain quiche, no JavaScript).
import { NATIVE_LIMIT, nativeFile } from './peers.mjs';

export const native = (io, { notes, without = [], extra = {} }) => ({
  needs: [NATIVE_LIMIT],
  features: ['connect', 'stream', 'mux', 'mtls', 'dgram'].filter((f) => !without.includes(f)),
  notes,
  version: () => 'quiche 0.30',
  command: ({ role, workload, opts }) => [
    nativeFile,
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
