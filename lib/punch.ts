import type Probing from './probing';
import type { Host, Port, RemoteInfo } from './types';
import { randomBytes } from 'node:crypto';
import * as errors from './errors';
import { isSame } from './probing';
import { expectBytes, toSignal, toTimeout } from './utils/expect';
import { onAbort, promise } from './utils/promise';
import { onTimeout } from './utils/timer';

/** How to punch. */
type PunchOptions = {
  /**
   * 16 bytes that both sides agreed on: then each knows the other's punches from whatever address they come, which peers
   * behind symmetric NATs need. By default random: then only the port of a target may be another than was told.
   */
  nonce?: Uint8Array;
  /** Milliseconds between the first two packets to each target, 1 or more; default 50. Each pause is twice as long as the last, */
  interval?: number;
  /** up to so many milliseconds; default 1000. */
  maxInterval?: number;
  /** Milliseconds after which it is given up; default 10,000. `Infinity` is for who has a signal. */
  timeout?: number;
  /** Gives it up. */
  signal?: AbortSignal;
  /** Counts any datagram from a target as a way that is open, for peers that don't answer punches; default false. */
  acceptAny?: boolean;
};

/** Finds the addresses of a target. */
type Resolving = () => Promise<RemoteInfo[]>;

/** One address that was punched. */
type PunchAttempt = {
  host: Host;
  port: Port;
  /** Packets sent to it. */
  sent: number;
  /** Whether it was no target: the peer was heard from there. */
  isAdopted: boolean;
};

/** A way that is open in both directions. */
type PunchResult = {
  /** From where the peer was heard: dial this. */
  host: Host;
  port: Port;
  /** From where the peer sees us; `undefined` if it didn't say so (`acceptAny`). */
  observed: RemoteInfo | undefined;
  /** Milliseconds that it took. */
  ms: number;
  /** All addresses that were punched. */
  tried: PunchAttempt[];
};

/** Counters of the punches of one socket. */
type PunchStats = { started: number; opened: number; timedOut: number; aborted: number; adopted: number };

/** Addresses beside the targets from which a peer may be heard: a stranger that has the nonce must not make us punch everybody. */
const MAX_ADOPTED = 16;

/**
 * Opens a way to one peer: sends packets to all addresses at which it may be, until it has answered one of them.
 */
class Punch {
  readonly #probing: Probing;
  readonly #stats: PunchStats;
  readonly #nonce: Uint8Array;
  readonly #maxInterval: number;
  readonly #firstInterval: number;
  readonly #acceptsAny: boolean;
  readonly #attempts: PunchAttempt[] = [];
  /** Targets whose addresses aren't known yet. */
  #unresolved = 0;
  #isOver = false;
  readonly #start = performance.now();
  readonly #open = promise<PunchResult>();
  #interval: number;
  #timer: NodeJS.Timeout | undefined;

  /** Punches until one of the targets answers: each as soon as its addresses are known. */
  static async run(
    probing: Probing,
    targets: readonly Resolving[],
    options: PunchOptions,
    stats: PunchStats,
  ): Promise<PunchResult> {
    return new Punch(probing, options, stats).#run(targets, options);
  }

  constructor(probing: Probing, options: PunchOptions, stats: PunchStats) {
    const { nonce = randomBytes(16), acceptAny = false } = options;
    const interval = toTimeout(options.interval, 'interval') ?? 50;
    const maxInterval = toTimeout(options.maxInterval, 'maxInterval') ?? 1000;
    expectBytes(nonce, 'nonce');
    this.#probing = probing;
    this.#stats = stats;
    this.#nonce = Uint8Array.from(nonce);
    this.#firstInterval = Math.max(1, interval);
    this.#maxInterval = Math.max(this.#firstInterval, maxInterval);
    this.#interval = this.#firstInterval;
    this.#acceptsAny = acceptAny;
  }

  async #run(targets: readonly Resolving[], options: PunchOptions): Promise<PunchResult> {
    const [timeout, signal] = [toTimeout(options.timeout) ?? 10_000, toSignal(options.signal)];
    const stopListening = this.#probing.listen(this.#nonce, {
      onAnswer: (from, observed) => this.#onAnswer(from, observed),
      onPunch: (from, nonce) => this.#onPunch(from, nonce),
      onAnything: (from) => this.#onAnything(from),
      onStopped: (error) => this.#open.rejectP(error),
    });
    this.#stats.started += 1;
    const detach = [
      stopListening,
      onTimeout(timeout, () => this.#onTimeout(timeout)),
      onAbort(signal, (reason) => this.#onAbort(reason)),
    ];
    try {
      if (signal?.aborted !== true) void this.#resolve(targets);
      return await this.#open.p;
    } finally {
      this.#isOver = true;
      clearTimeout(this.#timer);
      for (const stop of detach) stop();
      if (this.#acceptsAny) for (const attempt of this.#attempts) this.#probing.unwatch(attempt);
    }
  }

  /** Punches each target from when its addresses are known. Fails if there is none that can be punched. */
  async #resolve(targets: readonly Resolving[]): Promise<void> {
    this.#unresolved = targets.length;
    const outcomes = await Promise.allSettled(targets.map((resolve) => this.#add(resolve)));
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (this.#attempts.length > 0) return;
    this.#open.rejectP(failed?.reason ?? new RangeError('expected one target at least'));
  }

  async #add(resolve: Resolving): Promise<void> {
    try {
      const found = await resolve();
      if (!this.#isOver) this.#punch(found);
    } finally {
      this.#unresolved -= 1;
    }
  }

  #punch(targets: RemoteInfo[]): void {
    for (const target of targets) {
      if (this.#find(target) !== undefined) continue;
      this.#attempts.push({ ...target, sent: 0, isAdopted: false });
      if (this.#acceptsAny) this.#probing.watch(target);
    }
    this.#interval = this.#firstInterval;
    this.#sendToAll();
  }

  #sendToAll(): void {
    clearTimeout(this.#timer);
    for (const attempt of this.#attempts) this.#send(attempt);
    this.#timer = setTimeout(() => this.#sendToAll(), this.#interval);
    this.#interval = Math.min(this.#interval * 2, this.#maxInterval);
  }

  #send(attempt: PunchAttempt): void {
    attempt.sent += 1;
    this.#probing.sendPunch(this.#nonce, attempt);
  }

  #onAnswer(from: RemoteInfo, observed: RemoteInfo): void {
    const attempt = this.#find(from);
    // Who answers from elsewhere has heard us, but what we send there may not arrive.
    if (attempt === undefined) this.#adopt(from);
    else this.#succeed(from, observed);
  }

  /** The peer was heard: its NAT may have given it another port for us than the one that was told, or we were told another address. */
  #onPunch(from: RemoteInfo, nonce: Uint8Array): void {
    const isOurs = Buffer.compare(nonce, this.#nonce) === 0;
    const isNear = this.#attempts.some((attempt) => attempt.host === from.host);
    if (!isOurs && !isNear) return;
    const attempt = this.#find(from);
    if (attempt === undefined) this.#adopt(from);
    // What we sent before may have met a NAT that wasn't open yet: now it is.
    else this.#send(attempt);
  }

  #onAnything(from: RemoteInfo): void {
    if (this.#acceptsAny && this.#find(from) !== undefined) this.#succeed(from, undefined);
  }

  #adopt(from: RemoteInfo): void {
    if (this.#attempts.length >= MAX_ADOPTED + this.#targetCount) return;
    this.#stats.adopted += 1;
    this.#attempts.push({ ...from, sent: 0, isAdopted: true });
    if (this.#acceptsAny) this.#probing.watch(from);
    // The peer is there now: no time for the long pauses.
    this.#interval = this.#firstInterval;
    this.#sendToAll();
  }

  get #targetCount(): number {
    return this.#attempts.filter((attempt) => !attempt.isAdopted).length;
  }

  #find(address: RemoteInfo): PunchAttempt | undefined {
    return this.#attempts.find((attempt) => isSame(attempt, address));
  }

  #succeed({ host, port }: RemoteInfo, observed: RemoteInfo | undefined): void {
    this.#stats.opened += 1;
    const ms = performance.now() - this.#start;
    this.#open.resolveP({ host, port, observed, ms, tried: this.#tried });
  }

  #onTimeout(timeout: number): void {
    this.#stats.timedOut += 1;
    const message = `No answer to ${this.#summary} within ${timeout} ms`;
    this.#open.rejectP(new errors.ErrorQUICSocketPunchTimeout(message, { data: { tried: this.#tried } }));
  }

  #onAbort(cause: unknown): void {
    this.#stats.aborted += 1;
    const message = `Given up after ${this.#summary}`;
    this.#open.rejectP(new errors.ErrorQUICSocketPunchAborted(message, { data: { tried: this.#tried }, cause }));
  }

  get #tried(): PunchAttempt[] {
    return this.#attempts.map((attempt) => ({ ...attempt }));
  }

  get #summary(): string {
    const sent = this.#attempts.reduce((sum, attempt) => sum + attempt.sent, 0);
    const unknown = this.#unresolved === 0 ? '' : `, and ${this.#unresolved} more not found yet`;
    return `${sent} punches to ${this.#attempts.length} addresses${unknown}`;
  }
}

export type { PunchAttempt, PunchOptions, PunchResult, PunchStats, Resolving };
export default Punch;
