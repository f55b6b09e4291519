import { AbstractEvent, EventAll, EventDefault, EventError } from '@matrixai/events';
import { errors, events } from '../lib';
import * as lib from '../lib';
import Emitter from '../lib/utils/emitter';

class EventTest extends AbstractEvent<number> {}

class Target extends Emitter {
  emit(detail: number): void {
    this.tell(EventTest, detail);
  }

  within(outer: Emitter): this {
    this.relayTo(outer);
    return this;
  }
}

/** What a listener got, as `[this, type, detail]`. */
function record(target: Emitter, type: string, options?: { once?: boolean }) {
  const seen: AbstractEvent<unknown>[] = [];
  target.addEventListener(type, (event: AbstractEvent<unknown>) => seen.push(event), options);
  return seen;
}

test('listeners get events whose type is the name of their class, and whose target is the object', () => {
  const target = new Target();
  const seen = record(target, 'EventTest');
  target.emit(1);
  expect(seen).toHaveLength(1);
  expect([seen[0].type, seen[0].detail, seen[0].target]).toEqual(['EventTest', 1, target]);
});

test.each([
  ['any event', class extends AbstractEvent<number> {}],
  ['an event of this library', class extends events.EventQUIC<number> {}],
])('%s names the object once it is dispatched, and so does its clone', (_, Type) => {
  const [outer, inner] = [new Target(), new Target()];
  inner.within(outer);
  const seen: Event[] = [];
  for (const target of [inner, outer]) {
    target.addEventListener('EventHere', (event: Event) => {
      expect([event.target, event.currentTarget]).toEqual([target, target]);
      seen.push(event);
    });
  }
  const event = new Type('EventHere', { detail: 1 });
  expect([event.target, event.currentTarget]).toEqual([null, null]);
  inner.dispatchEvent(event);
  expect(seen).toHaveLength(2);
  expect(seen[0]).toBe(event);
  expect(seen.map(({ target }) => target)).toEqual([inner, outer]);
});

test.each([
  ['EventTold', 0],
  [EventAll.name, 0],
  [EventDefault.name, 0],
  ['EventTold', 2000],
])(
  'a listener to %s hears of an event that was told in vain before, wherever it listens, and to %i other types',
  (type, others) => {
    const heard: unknown[] = [];
    // Where nobody has listened to anything yet.
    jest.isolateModules(() => {
      const fresh = jest.requireActual<{ default: typeof Emitter }>('../lib/utils/emitter');
      const its = jest.requireActual<{ AbstractEvent: typeof AbstractEvent }>('@matrixai/events');
      class EventTold extends its.AbstractEvent<number> {}
      class Teller extends fresh.default {
        emit(detail: number): void {
          this.tell(EventTold, detail);
        }

        within(outer: Emitter): this {
          this.relayTo(outer);
          return this;
        }
      }
      const outer = new Teller();
      const inner = new Teller().within(outer);
      inner.emit(1);
      inner.emit(2);
      for (let each = 0; each < others; each++) outer.addEventListener(`Event${each}`, () => undefined);
      outer.addEventListener(type, () => heard.push(type));
      new Teller().emit(0);
      inner.emit(3);
    });
    expect(heard).toEqual([type]);
  },
);

test('listeners are called with the object as this, unless they are objects themselves', () => {
  const target = new Target();
  const seen: unknown[] = [];
  target.addEventListener('EventTest', function (this: unknown) {
    seen.push(this);
  });
  const listener = {
    handleEvent(this: unknown) {
      seen.push(this);
    },
  };
  target.addEventListener('EventTest', listener);
  target.emit(1);
  expect(seen[0]).toBe(target);
  expect(seen[1]).toBe(listener);
});

test('listeners can be removed, be called once, or end with a signal', () => {
  const target = new Target();
  const seen: number[] = [];
  const listener = ({ detail }: EventTest) => seen.push(detail);
  target.addEventListener('EventTest', listener);
  target.addEventListener('EventTest', listener);
  target.emit(1);
  target.removeEventListener('EventTest', listener);
  target.emit(2);
  target.addEventListener('EventTest', listener, { once: true });
  target.emit(3);
  target.emit(4);
  const controller = new AbortController();
  target.addEventListener('EventTest', listener, { signal: controller.signal });
  target.emit(5);
  controller.abort();
  target.emit(6);
  expect(seen).toEqual([1, 3, 5]);
});

test('EventAll gets everything, EventDefault what nobody heard', () => {
  const target = new Target();
  const [all, unheard] = [record(target, EventAll.name), record(target, EventDefault.name)];
  target.emit(1);
  record(target, 'EventTest');
  target.emit(2);
  expect(all.map(({ detail }) => (detail as EventTest).detail)).toEqual([1, 2]);
  expect(unheard.map(({ detail }) => (detail as EventTest).detail)).toEqual([1]);
});

test('the object around gets a clone, after', () => {
  const outer = new Target();
  const inner = new Target().within(outer);
  const order: string[] = [];
  outer.addEventListener('EventTest', (event: EventTest) => {
    order.push('outer');
    expect(event.target).toBe(outer);
  });
  inner.addEventListener('EventTest', (event: EventTest) => {
    order.push('inner');
    expect(event.target).toBe(inner);
  });
  inner.emit(1);
  expect(order).toEqual(['inner', 'outer']);
});

test('what nobody listens to is not made', () => {
  let made = 0;
  class EventCounted extends AbstractEvent<number> {
    constructor(options: { detail: number }) {
      super(options);
      made += 1;
    }
  }
  class Quiet extends Emitter {
    emit(): void {
      this.tell(EventCounted, 1);
    }
  }
  const target = new Quiet();
  target.emit();
  expect(made).toBe(0);
  record(target, 'EventCounted');
  target.emit();
  expect(made).toBe(1);
});

test('what listeners throw goes to those who asked for it, and disturbs no other', async () => {
  const target = new Target();
  const thrown = record(target, EventError.name);
  const error = new Error('thrown');
  target.addEventListener('EventTest', () => {
    throw error;
  });
  target.addEventListener('EventTest', async () => Promise.reject(error));
  const seen = record(target, 'EventTest');
  target.emit(1);
  await new Promise((resolve) => setImmediate(resolve));
  expect(seen).toHaveLength(1);
  expect(thrown.map(({ detail }) => detail)).toEqual([error, error]);
});

test('what a listener throws is told further out, where nobody asked for it here', () => {
  const outer = new Target();
  const inner = new Target().within(outer);
  const thrown = record(outer, EventError.name);
  const error = new Error('thrown');
  inner.addEventListener('EventTest', () => {
    throw error;
  });
  inner.emit(1);
  expect(thrown.map(({ detail }) => detail)).toEqual([error]);
  const nearer = record(inner, EventError.name);
  inner.emit(2);
  expect([nearer.length, thrown.length]).toEqual([1, 1]);
});

test.each(['throws', 'rejects'])('a listener of failures that %s itself is not told of that', async (how) => {
  const uncaught = jest.spyOn(process, 'nextTick').mockImplementation(() => undefined);
  const target = new Target();
  let calls = 0;
  target.addEventListener(EventError.name, () => {
    calls += 1;
    const error = new Error('again');
    if (how === 'throws') throw error;
    return Promise.reject(error);
  });
  target.addEventListener('EventTest', () => {
    throw new Error('thrown');
  });
  target.emit(1);
  await Promise.resolve();
  await Promise.resolve();
  expect(calls).toBe(1);
  expect(uncaught).toHaveBeenCalledTimes(1);
  uncaught.mockRestore();
});

test('a listener that is none is ignored, as elsewhere', () => {
  const target = new Target();
  target.addEventListener('EventTest', undefined);
  target.removeEventListener('EventTest', undefined);
  expect(() => target.emit(1)).not.toThrow();
});

test('every event and error is exported under the name of its class', () => {
  for (const namespace of [events, errors] as Record<string, unknown>[]) {
    for (const [name, value] of Object.entries(namespace)) expect((value as { name: string }).name).toBe(name);
  }
  for (const name of ['QUICSocket', 'QUICServer', 'QUICClient', 'QUICConnection', 'QUICStream'] as const) {
    expect(lib[name].name).toBe(name);
  }
});

test('every error has a code, a description, and one root', () => {
  for (const [name, Type] of Object.entries(errors)) {
    const Error_ = Type as unknown as new (message: string, options: { data: object }) => errors.ErrorQUIC;
    const error = new Error_('message', { data: {} });
    expect(error).toBeInstanceOf(errors.ErrorQUIC);
    expect(error.code).toBe(name === 'ErrorQUIC' ? name : name.slice('ErrorQUIC'.length));
    expect(error.description).not.toBe('');
    expect(error.name).toBe(name);
  }
});
