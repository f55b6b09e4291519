import { ours } from '../lib/ours.mjs';
export default ours({ judge: false, notes: 'lean calls; the addon checks the chains against ca' });
