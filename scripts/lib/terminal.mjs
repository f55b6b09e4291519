// One line per step: what it is, how it went, how long it took.

import process from 'node:process';

const hasColour = Boolean(process.stdout.isTTY && process.stderr.isTTY) && !process.env.NO_COLOR;
const paint = (code) => (text) => (hasColour ? `\x1b[${code}m${text}\x1b[0m` : text);

export const bold = paint(1);
export const dim = paint(2);
export const red = paint(31);
export const green = paint(32);
export const yellow = paint(33);

/** Where no line can be redrawn: when a long step first says what it is, and how often that it is still alive. */
const FIRST_BEAT_MS = 2_000;
const BEAT_MS = 60_000;

export function say(line) {
  process.stdout.write(`${line}\n`);
}

/** Ends the program with one line for the user, and what they can do about it. */
export function fail(line, ...help) {
  process.stderr.write(`${red('error:')} ${line}\n`);
  for (const each of help) process.stderr.write(`       ${each}\n`);
  process.exit(1);
}

export function duration(ms) {
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/**
 * Shows that a step goes on: a line that is redrawn on a terminal, now and then a line elsewhere.
 * `note(text)` says what it is at; `done()` and `failed()` end it. `out`: where it is shown.
 */
export function startStep(title, out = process.stdout) {
  const start = Date.now();
  let detail = '';
  let nextBeat = start + FIRST_BEAT_MS;
  const draw = () => {
    const now = Date.now();
    const elapsed = duration(Math.floor((now - start) / 1000) * 1000);
    if (out.isTTY) {
      const room = Math.max(20, (out.columns ?? 80) - title.length - elapsed.length - 6);
      out.write(`\r\x1b[K${title} ${dim(`${elapsed}  ${detail.slice(0, room)}`)}`);
    } else if (now >= nextBeat) {
      nextBeat = now + BEAT_MS;
      out.write(`… ${title} ${dim(`${elapsed}  ${detail}`.trimEnd())}\n`);
    }
  };
  const timer = setInterval(draw, 250);
  timer.unref();
  const end = (mark) => {
    clearInterval(timer);
    const line = `${mark} ${title} ${dim(`(${duration(Date.now() - start)})`)}`;
    out.write(out.isTTY ? `\r\x1b[K${line}\n` : `${line}\n`);
  };
  return {
    note: (text) => {
      detail = text;
    },
    done: () => end(green('✓')),
    failed: () => end(red('✗')),
  };
}

/** A table whose columns are as wide as their widest cell; numbers stand to the right. */
export function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          typeof cell === 'number' ? String(cell).padStart(widths[column]) : String(cell).padEnd(widths[column]),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
