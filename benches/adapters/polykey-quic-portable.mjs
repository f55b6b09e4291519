import { ours } from '../lib/ours.mjs';
export default ours({
  socketOptions: { transport: 'portable' },
  notes: "each datagram through libuv's sockets, by the addon",
});
