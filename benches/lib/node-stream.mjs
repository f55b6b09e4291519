// Wraps a node:stream Duplex in the benchmark's stream interface.
export function wrapDuplex(s) {
  s.on('error', () => {});
  return {
    write(buf) {
      if (s.write(buf)) return true;
      return new Promise((r) => s.once('drain', r));
    },
    end(buf) {
      s.end(buf);
    },
    consume(onChunk, onEnd) {
      s.on('data', onChunk);
      s.on('end', onEnd);
    },
  };
}
