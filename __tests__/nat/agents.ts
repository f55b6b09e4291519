import type { ChildProcessByStdio } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import type { Kind } from '../../scripts/nat/lab.cjs';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { Lab, WORLD } from '../../scripts/nat/lab.cjs';

/** Where somebody is. */
type Address = { host: string; port: number };

type Outcome = {
  id: number;
  value?: unknown;
  error?: { message: string; code?: string; data?: unknown; stack: string };
};

/** What an agent's request failed with. */
class AgentError extends Error {
  constructor(
    readonly code: string | undefined,
    message: string,
    readonly data: unknown,
  ) {
    super(message);
  }
}

/** A process in a network namespace: agent.mjs. */
class Agent implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #waiting = new Map<number, (outcome: Outcome) => void>();
  #count = 0;

  constructor(lab: Lab, place: string) {
    const [program, ...args] = [...lab.prefix(place), process.execPath, path.join(__dirname, 'agent.mjs')];
    this.#child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      const outcome = JSON.parse(line) as Outcome;
      this.#waiting.get(outcome.id)?.(outcome);
      this.#waiting.delete(outcome.id);
    });
    this.#child.on('close', () => {
      const error = { message: 'the agent is gone', stack: '' };
      for (const [id, settle] of this.#waiting) settle({ id, error });
      this.#waiting.clear();
    });
    // Its end is told above.
    this.#child.stdin.on('error', () => undefined);
  }

  /** Has it do something: see agent.mjs. */
  async ask<T = unknown>(command: string, details: object = {}): Promise<T> {
    const id = (this.#count += 1);
    const outcome = await new Promise<Outcome>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#child.stdin.write(`${JSON.stringify({ id, command, details })}\n`);
    });
    const { error } = outcome;
    if (error !== undefined)
      throw new AgentError(error.code, `${command}: ${error.message}\n${error.stack}`, error.data);
    return outcome.value as T;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#child, 'close');
    this.#child.stdin.end();
    await closed;
  }
}

/** Two networks, the agents in them, and two sockets in the public segment that tell who sees whom where. */
class Stage implements AsyncDisposable {
  readonly lab: Lab;
  readonly agents: readonly [Agent, Agent];
  readonly world: Agent;
  readonly #addresses: readonly [string, string];
  readonly #wildcard: string;
  #observers: readonly [Address & { end: number }, Address & { end: number }] | undefined;

  constructor(kinds: [Kind, Kind]) {
    this.lab = new Lab().build(kinds);
    this.agents = [new Agent(this.lab, 'h1'), new Agent(this.lab, 'h2')];
    this.world = new Agent(this.lab, 'world');
    const isSix = kinds.includes('firewall');
    this.#addresses = isSix ? WORLD.v6 : WORLD.v4;
    this.#wildcard = isSix ? '::' : '0.0.0.0';
  }

  /** A fresh socket of an agent, and from where it is seen. */
  async open(agent: Agent, config: object = {}): Promise<{ end: number; observed: Address }> {
    const { end } = await agent.ask<{ end: number }>('open', { host: this.#wildcard, config });
    const [{ host, port }] = await this.observers();
    return { end, observed: await agent.ask<Address>('observe', { end, host, port, timeout: 10_000 }) };
  }

  /** Two public sockets on different addresses. */
  async observers(): Promise<readonly [Address & { end: number }, Address & { end: number }]> {
    const make = async (host: string): Promise<Address & { end: number }> => {
      const options = { host, answersObserve: true };
      return { host, ...(await this.world.ask<{ end: number; port: number }>('open', options)) };
    };
    return (this.#observers ??= [await make(this.#addresses[0]), await make(this.#addresses[1])]);
  }

  /** Introduces both agents to each other, has both punch, the first dial the second, and proves the way by an echo. */
  async meet(
    config: object = {},
    timeout = 10_000,
  ): Promise<{ ms: number; ends: [number, number]; targets: Address[] }> {
    const [one, other] = this.agents;
    const [here, there] = await Promise.all([this.open(one, config), this.open(other, config)]);
    const id = await other.ask<string>('identity');
    const nonce = randomBytes(16).toString('hex');
    const start = performance.now();
    const punches = Promise.allSettled([
      one.ask<Address>('punch', { end: here.end, targets: [there.observed], nonce, timeout }),
      other.ask<Address>('punch', { end: there.end, targets: [here.observed], nonce, timeout }),
    ]);
    const [opened, back] = await punches;
    if (opened.status === 'rejected') throw opened.reason;
    if (back.status === 'rejected') throw back.reason;
    const { host, port } = opened.value;
    const met = await one.ask<string>('dial', { end: here.end, host, port, id });
    if (met !== id) throw new Error('somebody else answered');
    if (!(await one.ask<boolean>('echo', { end: here.end }))) throw new Error('the echo is wrong');
    return { ms: performance.now() - start, ends: [here.end, there.end], targets: [here.observed, there.observed] };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.agents, this.world].map((agent) => agent[Symbol.asyncDispose]()));
    this.lab.close();
  }
}

export type { Address };
export { Agent, AgentError, Stage };
