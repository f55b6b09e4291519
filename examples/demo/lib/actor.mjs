// A process of the demo, seen from inside: it tells the main process what happens in lines of JSON on its standard output,
// takes commands in lines of JSON on its standard input, and ends when that is closed, so that it never outlives the main
// process, however that may end.

import process from 'node:process';
import readline from 'node:readline';

/** Tells the main process something: `{ event, … }`. */
export function report(event, details = {}) {
  process.stdout.write(`${JSON.stringify({ event, ...details })}\n`);
}

/** Takes commands; what a handler throws ends the process. */
export function takeCommands(handlers) {
  // Ctrl-C goes to all processes of a terminal. The main process decides what becomes of it.
  process.on('SIGINT', () => undefined);
  process.stdout.on('error', () => process.exit(1));
  process.on('uncaughtException', fail);
  const lines = readline.createInterface({ input: process.stdin });
  lines.on('line', (line) => {
    const { command, ...details } = JSON.parse(line);
    Promise.resolve(handlers[command](details)).catch(fail);
  });
  lines.on('close', () => process.exit(1));
  // Waiting for commands keeps nobody alive.
  process.stdin.unref?.();
}

/** Ends the process with a sentence for the user. */
export function fail(error) {
  const { message = String(error), code, cause, stack } = error;
  const line = JSON.stringify({ event: 'failed', message, code, cause: cause?.code, stack });
  process.stdout.write(`${line}\n`, () => process.exit(1));
}
