import { ours, wrapWeb } from '../lib/ours.mjs';
export default ours({ wrap: wrapWeb, notes: 'readable and writable of each stream' });
