import { jsQuic } from '../lib/js-quic.mjs';
export default jsQuic({
  dir: 'mx2',
  pkg: '@matrixai/quic',
  callback: true,
  notes: 'as matrixai-quic-2, verifying through verifyCallback on both sides (what Polykey does)',
});
