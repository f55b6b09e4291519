// The processes of the demo, seen from the main process: starts them, hears what they report, and ends them all as soon as
// something goes wrong in one.

import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import process from 'node:process';
import readline from 'node:readline';

const STOP_MS = 3000;

/** What the user should read, in one line; nobody needs a stack for it. */
export class Complaint extends Error {}

export class Cast {
  #actors = [];
  #abort = new AbortController();
  #isEnding = false;

  constructor() {
    // The last resort; they also end by themselves when their standard input is closed.
    process.on('exit', () => this.#actors.forEach((actor) => actor.kill()));
  }

  /** Aborts with the first thing that went wrong. */
  get signal() {
    return this.#abort.signal;
  }

  /** Starts a process. `prefix` is a command in front of it, such as `ip netns exec …`. */
  start(name, script, args = [], prefix = []) {
    const [command, ...rest] = [...prefix, process.execPath, script, ...args];
    const child = spawn(command, rest, { stdio: ['pipe', 'pipe', 'inherit'], windowsHide: true });
    const actor = new Actor(name, child, this);
    this.#actors.push(actor);
    return actor;
  }

  /** Something went wrong: all that wait for an actor learn it. */
  fail(error) {
    if (!this.#isEnding) this.#abort.abort(error);
  }

  /** Lets the processes end in peace, and kills those that don't. */
  async end() {
    this.#isEnding = true;
    await Promise.all(this.#actors.map((actor) => actor.end()));
  }
}

/** One process. */
class Actor {
  name;
  /** Resolves when it is gone. */
  closed;
  #child;
  #cast;
  /** The first report of each event. */
  #heard = new Map();
  #reports = new EventEmitter();

  constructor(name, child, cast) {
    this.name = name;
    this.#child = child;
    this.#cast = cast;
    readline.createInterface({ input: child.stdout }).on('line', (line) => this.#hear(JSON.parse(line)));
    // A process that is gone takes no commands: its end is told below.
    child.stdin.on('error', () => undefined);
    child.on('error', (error) => cast.fail(new Complaint(`${name} could not be started: ${error.message}`)));
    this.closed = new Promise((resolve) => child.on('close', resolve));
    child.on('close', (code, signal) => {
      cast.fail(new Complaint(`${name} ended before its time (${signal ?? `exit code ${code}`})`));
    });
  }

  /** Gives it a command. */
  tell(command, details = {}) {
    this.#child.stdin.write(`${JSON.stringify({ command, ...details })}\n`);
  }

  /** Resolves to the first report of an event, also if it came before; rejects when something goes wrong in any process. */
  async expect(event) {
    const { signal } = this.#cast;
    if (!this.#heard.has(event)) await once(this.#reports, event, { signal }).catch(() => signal.throwIfAborted());
    return this.#heard.get(event);
  }

  /** Whether it has reported an event. */
  hasReported(event) {
    return this.#heard.has(event);
  }

  /** Calls back at each report of an event. */
  on(event, listener) {
    this.#reports.on(event, listener);
  }

  async end() {
    this.tell('stop');
    const timer = setTimeout(() => this.kill(), STOP_MS);
    await this.closed;
    clearTimeout(timer);
  }

  kill() {
    this.#child.kill('SIGKILL');
  }

  #hear({ event, ...details }) {
    if (event === 'failed') {
      this.#cast.fail(Object.assign(new Complaint(`${this.name}: ${details.message}`), { details }));
      return;
    }
    if (!this.#heard.has(event)) this.#heard.set(event, details);
    this.#reports.emit(event, details);
  }
}
