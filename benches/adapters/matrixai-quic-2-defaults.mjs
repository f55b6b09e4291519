import { jsQuic } from '../lib/js-quic.mjs';
export default jsQuic({
  dir: 'mx2',
  pkg: '@matrixai/quic',
  windows: false,
  notes: 'as matrixai-quic-2, with its own default windows (10 MiB / 1 MiB)',
});
