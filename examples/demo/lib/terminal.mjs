// What the demo shows: a line for each step, a progress bar where a line can be redrawn, a summary.

import process from 'node:process';

const isTerminal = Boolean(process.stdout.isTTY);
const hasColour = isTerminal && !process.env.NO_COLOR;
const paint = (code) => (text) => (hasColour ? `\x1b[${code}m${text}\x1b[0m` : text);

export const bold = paint(1);
export const dim = paint(2);
export const red = paint(31);
export const green = paint(32);

const MiB = 1024 * 1024;
const STEP_WIDTH = 27;
const SUMMARY_WIDTH = 13;

/** A shorter bar says nothing. */
const LEAST_BAR = 8;

/** Where no line can be redrawn: how often progress is told. */
const BEAT_MS = 2_000;

export function say(line = '') {
  process.stdout.write(`${line}\n`);
}

/** One thing that has been done. */
export function step(what, details = '') {
  say(`${green('✓')} ${what.padEnd(STEP_WIDTH)} ${dim(details)}`.trimEnd());
}

/** Lines of name and value. */
export function summary(lines) {
  say();
  for (const [name, value] of lines) say(`  ${name.padEnd(SUMMARY_WIDTH)} ${value}`);
  say();
}

/** The one line that says why the demo did not work. */
export function complain(message) {
  process.stderr.write(`${process.stderr.isTTY && !process.env.NO_COLOR ? red('error:') : 'error:'} ${message}\n`);
}

/** Shows how far a transfer is. */
export class ProgressBar {
  #start = performance.now();
  #nextBeat = this.#start + BEAT_MS;
  #isDrawn = false;

  update(bytes, size) {
    const seconds = (performance.now() - this.#start) / 1000;
    const fraction = size === 0 ? 1 : bytes / size;
    const percent = `${Math.floor(fraction * 100)}`.padStart(3);
    // Of a fixed width, so that the bar stands still.
    const amount = `${formatBytes(bytes).padStart(10)} of ${formatBytes(size)}`;
    const numbers = `${percent} %  ${amount}  ${formatRate(bytes, seconds)}`;
    if (isTerminal) this.#draw(fraction, numbers);
    else this.#tell(numbers);
  }

  /** Leaves the line free for others. */
  end() {
    if (this.#isDrawn) process.stdout.write('\r\x1b[K');
    this.#isDrawn = false;
  }

  #draw(fraction, numbers) {
    // Some terminals don't say how wide they are.
    const columns = process.stdout.columns || 80;
    const room = Math.min(40, columns - numbers.length - 5);
    const full = Math.round(fraction * room);
    const bar = room < LEAST_BAR ? '' : `${green('█'.repeat(full))}${dim('░'.repeat(room - full))}  `;
    process.stdout.write(`\r\x1b[K  ${bar}${numbers.slice(0, columns - 3)}`);
    this.#isDrawn = true;
  }

  #tell(numbers) {
    if (performance.now() < this.#nextBeat) return;
    this.#nextBeat = performance.now() + BEAT_MS;
    say(`  ${numbers}`);
  }
}

export function formatBytes(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  return bytes < MiB ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / MiB).toFixed(1)} MiB`;
}

export function formatRate(bytes, seconds) {
  return `${(bytes / MiB / Math.max(seconds, 0.000_001)).toFixed(1)} MiB/s`;
}

/** Enough of a fingerprint for people to tell two apart. */
export function short(id) {
  return `${id.slice(0, 8)}…`;
}
