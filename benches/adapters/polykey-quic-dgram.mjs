import { ours } from '../lib/ours.mjs';
export default ours({ socketOptions: { transport: 'dgram' }, notes: 'each datagram through node:dgram' });
