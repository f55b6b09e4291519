import { ours } from '../lib/ours.mjs';

/** What a stock Linux grants. */
const bytes = 212_992;
export default ours({
  socketOptions: { recvBufferSize: bytes / 2, sendBufferSize: bytes / 2 },
  notes: `socket buffers of ${bytes} bytes, as the kernel counts them`,
});
