import { jsQuic } from '../lib/js-quic.mjs';
export default jsQuic({
  dir: 'mx2',
  pkg: '@matrixai/quic',
  notes:
    'quiche 0.18; own UDP socket per client (its default); readableChunkSize default (4 KiB); datagrams only through its @internal native object',
});
