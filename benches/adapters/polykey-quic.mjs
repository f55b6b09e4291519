import { ours } from '../lib/ours.mjs';
export default ours({ notes: 'lean calls; verifyCallback on both sides' });
