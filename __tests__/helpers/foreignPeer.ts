import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';

/** Whether a command runs and prints what is wanted. */
function prints(command: string, args: string[], wanted: RegExp): boolean {
  const { stdout, stderr, status } = spawnSync(command, args, { encoding: 'utf8' });
  return status === 0 && wanted.test(stdout + stderr);
}

/** `test` where the foreign stack is there, else one that is skipped, and says what would have to be there. */
function testWith(isThere: boolean, needs: string): typeof test {
  if (isThere) return test;
  process.stderr.write(`Skipped: ${needs}\n`);
  return test.skip;
}

/** A program whose output is read line by line. */
class ForeignPeer implements AsyncDisposable {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #lines: string[] = [];
  readonly #ended: Promise<unknown>;
  #onLine: (() => void) | undefined;
  #isOver = false;

  constructor(command: string, args: string[]) {
    this.#process = spawn(command, args);
    this.#ended = new Promise((resolve) => this.#process.on('close', resolve));
    void this.#ended.then(() => {
      this.#isOver = true;
      this.#onLine?.();
    });
    for (const output of [this.#process.stdout, this.#process.stderr]) {
      createInterface({ input: output }).on('line', (line) => {
        this.#lines.push(line);
        this.#onLine?.();
      });
    }
  }

  /** The first match in what it prints. */
  async says(wanted: RegExp): Promise<RegExpMatchArray> {
    for (;;) {
      const match = this.#lines.join('\n').match(wanted);
      if (match !== null) return match;
      if (this.#isOver) throw new Error(`it never said ${String(wanted)}, but:\n${this.#lines.join('\n')}`);
      await new Promise<void>((resolve) => (this.#onLine = resolve));
    }
  }

  /** Ends its input, and waits until it ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.stdin.end();
    this.#process.kill();
    await this.#ended;
  }
}

export { ForeignPeer, prints, testWith };
