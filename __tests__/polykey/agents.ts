import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** The folder where Polykey is installed; `undefined` where it could not be, and its tests are skipped. */
export const installed = process.env['POLYKEY_INSTALLED'];

/** Whether @matrixai/quic itself is under it, to see what the tests say of that. */
export const isOriginal = process.env['POLYKEY_WITH'] === 'theirs';

export const testPolykey = installed === undefined ? test.skip : test;

/** Who an agent is, and where. */
export type Identity = { nodeId: string; host: string; port: number; pid: number };

/** An error of an agent's process, as plain values. */
export type RemoteError = {
  name: string;
  message: string;
  data: Record<string, unknown> | null;
  isQUIC: boolean;
  isConnectionError: boolean;
  errors?: RemoteError[];
  cause?: RemoteError;
};

type Pending = { resolve: (result: unknown) => void; reject: (error: unknown) => void };

/** A whole Polykey agent in a process of its own. */
export class Agent {
  readonly #child: ChildProcess;
  readonly #exited: Promise<[code: number | null, signal: string | null]>;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;

  constructor(readonly statePath: string) {
    const driver = path.join(__dirname, 'agent.mjs');
    this.#child = fork(driver, [installed!, statePath], { serialization: 'advanced' });
    this.#exited = once(this.#child, 'exit') as Promise<[number | null, string | null]>;
    this.#child.on('message', ([id, outcome, value]: [number, 'ok' | 'error', unknown]) => {
      const pending = this.#pending.get(id);
      this.#pending.delete(id);
      if (outcome === 'ok') pending?.resolve(value);
      else pending?.reject(value);
    });
    void this.#exited.then(() => {
      for (const { reject } of this.#pending.values()) reject(new Error('the process of the agent has ended'));
    });
  }

  /** Has the agent do something; see agent.mjs. Rejects with a `RemoteError`. */
  do<T = unknown>(command: string, argument: unknown = {}): Promise<T> {
    if (!this.#child.connected) return Promise.reject(new Error('the process of the agent has ended'));
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve: resolve as Pending['resolve'], reject });
      this.#child.send([id, command, argument]);
    });
  }

  start(options: unknown = {}): Promise<Identity> {
    return this.do<Identity>('start', options);
  }

  /** Calls another agent; whether an answer came. What it holds depends on what they have written down by now. */
  async calls(nodeId: string): Promise<boolean> {
    return Array.isArray(await this.do('closest', { nodeId }));
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  get exited(): Promise<[code: number | null, signal: string | null]> {
    return this.#exited;
  }

  /** Stops the agent; its process then has to end by itself. */
  async stop(): Promise<[code: number | null, signal: string | null]> {
    await this.do('stop');
    // Only this channel keeps it now: what else is left has to show.
    this.#child.disconnect();
    return this.#exited;
  }
}

const begun: Agent[] = [];
const folders: string[] = [];

/** A new agent, or the agent of an existing state. */
export function begin(statePath = fs.mkdtempSync(path.join(os.tmpdir(), 'polykey-agent-'))): Agent {
  folders.push(statePath);
  const agent = new Agent(statePath);
  begun.push(agent);
  return agent;
}

/** Ends the processes of all agents that are still there. */
export async function endAll(): Promise<void> {
  for (const agent of begun) agent.kill('SIGKILL');
  await Promise.all(begun.map((agent) => agent.exited));
  for (const folder of folders) fs.rmSync(folder, { recursive: true, force: true });
}

/** What a promise rejects with. */
export async function failure(p: Promise<unknown>): Promise<RemoteError> {
  try {
    await p;
  } catch (error) {
    return error as RemoteError;
  }
  throw new Error('expected a failure');
}

/** Asks until the answer is as wanted. */
export async function until<T>(ask: () => Promise<T>, isWanted: (answer: T) => boolean, ms = 30_000): Promise<T> {
  const end = Date.now() + ms;
  for (;;) {
    const answer = await ask();
    if (isWanted(answer)) return answer;
    if (Date.now() > end) throw new Error(`still ${JSON.stringify(answer)} after ${ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
