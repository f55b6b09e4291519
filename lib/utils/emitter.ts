import { AbstractEvent, EventAll, EventDefault, EventError } from '@matrixai/events';

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- a listener names the class of event it gets
type Listener = ((event: any) => unknown) | { handleEvent(event: any): unknown };

type ListenerOptions = boolean | { capture?: boolean };

type AddListenerOptions = boolean | { capture?: boolean; once?: boolean; passive?: boolean; signal?: AbortSignal };

/** A class of events that is made from a detail alone. */
type EventClass<D> = new (options: { detail: D }) => AbstractEvent<D>;

/** Types that anybody has ever listened to, in this thread: the first so many, and `EventAll` for all others. */
const heardOf = new Set<string>();
const MOST_HEARD_OF = 1000;
/** Classes of events that were to be told, and of which nobody has ever wanted to hear: each stream has several. */
const unheard = new Set<unknown>();

/**
 * An object with events, as `Evented` of `@matrixai/events` makes them: `EventDefault` for what nobody heard, `EventAll`
 * for everything, `EventError` for what a listener threw. Different in cost: an object that nobody listens to has no
 * event target and makes no events. Streams come by the thousand.
 *
 * A listener can't disturb whoever dispatches: what it throws, or its promise rejects with, goes to the listeners of
 * `EventError`, of this object or of one around it, else it becomes an uncaught exception in a turn of its own.
 */
abstract class Emitter {
  #target: EventTarget | undefined;
  /** Types that were ever listened to. */
  #types: Set<string> | undefined;
  #outer: Emitter | undefined;

  addEventListener(type: string, callback: Listener | null | undefined, options?: AddListenerOptions): void {
    if (callback === null || callback === undefined) return;
    (this.#types ??= new Set()).add(type);
    if (!heardOf.has(type)) {
      heardOf.add(heardOf.size < MOST_HEARD_OF ? type : EventAll.name);
      unheard.clear();
    }
    (this.#target ??= new EventTarget()).addEventListener(type, guarded(callback), options);
  }

  removeEventListener(type: string, callback: Listener | null | undefined, options?: ListenerOptions): void {
    if (callback === null || callback === undefined) return;
    this.#target?.removeEventListener(type, guarded(callback), options);
  }

  /** Tells those who listen to this object, then, by a clone, those who listen to the object around it. */
  dispatchEvent(event: Event): boolean {
    const isPermitted = this.#isHeardHere(event.type) ? this.#dispatchHere(event) : true;
    if (this.#outer !== undefined && event instanceof AbstractEvent && this.#outer.isHeard(event.type)) {
      this.#outer.dispatchEvent((event as AbstractEvent<unknown>).clone());
    }
    return isPermitted;
  }

  /** Whether somebody listens to a type of event, here or further out. */
  protected isHeard(type: string): boolean {
    return this.#isHeardHere(type) || (this.#outer?.isHeard(type) ?? false);
  }

  #isHeardHere(type: string): boolean {
    return this.#types !== undefined && hears(this.#types, type);
  }

  /** Makes and dispatches an event, if there is anybody to hear it. */
  protected tell<D>(Type: EventClass<D>, detail: D): void {
    if (unheard.has(Type)) return;
    const type = Type.name;
    if (this.isHeard(type)) this.dispatchEvent(new Type({ detail }));
    else if (!hears(heardOf, type)) unheard.add(Type);
  }

  /** The same, of a detail that is made only to be heard. */
  protected tellLate<D>(Type: EventClass<D>, detail: () => D): void {
    if (this.isHeard(Type.name)) this.dispatchEvent(new Type({ detail: detail() }));
  }

  /** Names the object around this one, which passes our events on. */
  protected relayTo(outer: Emitter | undefined): void {
    this.#outer = outer;
  }

  /** Gives what a listener threw to those who asked for it: of this object, or of the nearest one around it. */
  static report(emitter: Emitter, error: unknown): void {
    for (let at: Emitter | undefined = emitter; at !== undefined; at = at.#outer) {
      const event = new EventError({ detail: error });
      at.#dispatch(event);
      if ((event as Marked)[isHeard] !== undefined) return;
    }
    throwAlone(error);
  }

  #dispatchHere(event: Event): boolean {
    if (this.#target === undefined) return true;
    let isPermitted = this.#dispatch(event);
    if (isPermitted && (event as Marked)[isHeard] === undefined && this.#types?.has(EventDefault.name) === true) {
      isPermitted = this.#dispatch(new EventDefault(about(event)));
    }
    if (isPermitted && this.#types?.has(EventAll.name) === true) {
      isPermitted = this.#dispatch(new EventAll(about(event)));
    }
    return isPermitted;
  }

  #dispatch(event: Event): boolean {
    if (this.#target === undefined) return true;
    // Listeners see this object, not the event target inside.
    if (event instanceof EmittedEvent) {
      event[source] = this;
    } else {
      const fixed = { value: this, configurable: true };
      Object.defineProperties(event, { target: fixed, currentTarget: fixed });
    }
    return this.#target.dispatchEvent(event);
  }
}

/** Whether listeners to these types hear of another one, be it by an event that stands for it. */
function hears(types: Set<string>, type: string): boolean {
  return types.has(type) || types.has(EventAll.name) || types.has(EventDefault.name);
}

/** What an event that stands for another says of it. */
function about(event: Event): { bubbles: boolean; cancelable: boolean; composed: boolean; detail: Event } {
  const { bubbles, cancelable, composed } = event;
  return { bubbles, cancelable, composed, detail: event };
}

const source = Symbol('source');

/** An event that knows the object it comes from: to define that on each event costs more than all the rest of dispatching. */
abstract class EmittedEvent<T> extends AbstractEvent<T> {
  declare [source]?: Emitter;

  override get target(): EventTarget | null {
    return this[source] ?? super.target;
  }

  override get currentTarget(): EventTarget | null {
    return this[source] ?? super.currentTarget;
  }
}

const isHeard = Symbol('isHeard');

/** An event, and whether at least one listener has got it. */
type Marked = Event & { [isHeard]?: true };

/** The guard of each listener: always the same, so that it can be removed again. */
const guards = new WeakMap<Listener, (event: Event) => void>();

function guarded(listener: Listener): (event: Event) => void {
  let guard = guards.get(listener);
  if (guard === undefined) {
    guard = guardOf(listener);
    guards.set(listener, guard);
  }
  return guard;
}

function guardOf(listener: Listener): (event: Event) => void {
  return (event) => {
    (event as Marked)[isHeard] = true;
    const emitter = event.currentTarget as unknown as Emitter;
    try {
      const answer: unknown =
        typeof listener === 'function' ? listener.call(emitter, event) : listener.handleEvent(event);
      if (isThenable(answer)) answer.then(undefined, (error: unknown) => report(event, emitter, error));
    } catch (error) {
      report(event, emitter, error);
    }
  };
}

/** Who is told of failures, and fails, isn't told of that. */
function report(event: Event, emitter: Emitter, error: unknown): void {
  if (event instanceof EventError) throwAlone(error);
  else Emitter.report(emitter, error);
}

function isThenable(value: unknown): value is { then(a: undefined, b: (error: unknown) => void): unknown } {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function';
}

/** Throws where nothing else is under way. */
function throwAlone(error: unknown): void {
  process.nextTick(() => {
    throw error;
  });
}

export { EmittedEvent };
export default Emitter;
