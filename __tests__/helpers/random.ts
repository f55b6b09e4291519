/** Pseudo-random whole numbers below a bound, the same ones for the same seed (xorshift32, Marsaglia 2003). */
function random(seed: number): (bound: number) => number {
  let state = Math.imul(seed, 0x9e3779b1) >>> 0 || 1;
  return (bound) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % bound;
  };
}

export { random };
