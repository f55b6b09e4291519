import { ours } from '../lib/ours.mjs';
export default ours({ socketOptions: { transport: 'portable' }, notes: 'all datagrams through node:dgram' });
