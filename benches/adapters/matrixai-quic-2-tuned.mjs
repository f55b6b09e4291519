import { jsQuic } from '../lib/js-quic.mjs';
export default jsQuic({
  dir: 'mx2',
  pkg: '@matrixai/quic',
  sharedSocket: true,
  config: { readableChunkSize: 65536 },
  notes: 'as matrixai-quic-2, with readableChunkSize 64 KiB and one shared client socket',
});
