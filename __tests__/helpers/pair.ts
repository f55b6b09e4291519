import type {
  LoggerLike,
  QUICClientConfigInput,
  QUICServerConfigInput,
  StreamCodeToReason,
  StreamReasonToCode,
} from '../../lib';
import { QUICClient, QUICServer, QUICSocket, errors, events } from '../../lib';
import type { QUICConnection, QUICStream } from '../../lib';
import type { Authority } from './certificates';
import { createAuthority } from './certificates';

/** Two ends of one connection over loopback, and what they stand on. */
type Pair = {
  server: QUICServer;
  client: QUICClient;
  /** The client's end. */
  near: QUICConnection;
  /** The server's end. */
  far: QUICConnection;
  [Symbol.asyncDispose](): Promise<void>;
};

type PairOptions = {
  server?: Partial<QUICServerConfigInput>;
  client?: QUICClientConfigInput;
  serverSocket?: QUICSocket;
  clientSocket?: QUICSocket;
  reasonToCode?: StreamReasonToCode;
  codeToReason?: StreamCodeToReason;
};

let shared: Authority | undefined;

/** One authority for all that don't test authorities. */
function authority(): Authority {
  return (shared ??= createAuthority());
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- whoever listens by a name knows what comes
type Listener = (event: any) => unknown;

type Emits = {
  addEventListener(type: string, listener: Listener, options?: { once?: boolean }): void;
  removeEventListener(type: string, listener: Listener): void;
};

/** The next event of a class. */
function nextEvent<E>(target: Emits, Type: abstract new (...args: never[]) => E): Promise<E> {
  return new Promise((resolve) => target.addEventListener(Type.name, (event: E) => resolve(event), { once: true }));
}

/**
 * Names of all events of a target, in order, as they come; but for datagrams of no connection: on a busy machine a packet
 * comes after its connection was forgotten, and is one of those, as encrypted as it came.
 */
function recordEvents(target: Emits): string[] {
  const names: string[] = [];
  target.addEventListener('EventAll', ({ detail: { type } }: { detail: Event }) => {
    if (type !== events.EventQUICSocketDatagram.name) names.push(type);
  });
  return names;
}

/** Listens to a server's log for the newcomer that is refused: nobody else hears of it. */
function listeningLogger(): { logger: LoggerLike; refusal: Promise<string> } {
  let tell: (message: string) => void;
  const refusal = new Promise<string>((resolve) => (tell = resolve));
  const logger: LoggerLike = {
    debug: (message) => message.includes(errors.ErrorQUICServerNewConnection.name) && tell(message),
    info: () => undefined,
    warn: () => undefined,
    error: () => undefined,
    getChild: () => logger,
  };
  return { logger, refusal };
}

/** Dials a server that was just made for it; both end with `await using`. */
async function createPair(options: PairOptions = {}): Promise<Pair> {
  const { reasonToCode, codeToReason } = options;
  const server = new QUICServer({
    config: { ...authority().issue(), ...options.server },
    socket: options.serverSocket,
    reasonToCode,
    codeToReason,
  });
  await server.start({ host: '127.0.0.1' });
  const admitted = nextEvent<events.EventQUICServerConnection>(server, events.EventQUICServerConnection);
  const own = options.clientSocket === undefined ? { localHost: '127.0.0.1' } : { socket: options.clientSocket };
  const client = await QUICClient.createQUICClient({
    ...own,
    host: '127.0.0.1',
    port: server.port,
    config: { ca: authority().ca, ...options.client },
    reasonToCode,
    codeToReason,
  }).catch(async (error: unknown) => {
    await server.stop();
    throw error;
  });
  const { detail: far } = await admitted;
  return {
    server,
    client,
    near: client.connection,
    far,
    async [Symbol.asyncDispose]() {
      await Promise.all([client.destroy(), server.stop()]);
    },
  };
}

/** A socket on loopback. */
async function startSocket(...args: ConstructorParameters<typeof QUICSocket>): Promise<QUICSocket> {
  const socket = new QUICSocket(...args);
  await socket.start({ host: '127.0.0.1' });
  return socket;
}

/** A stream of ours and its other end, which has to be woken by something written. */
async function openStream(from: QUICConnection, to: QUICConnection, first = 'x'): Promise<[QUICStream, QUICStream]> {
  const opened = nextEvent<events.EventQUICConnectionStream>(to, events.EventQUICConnectionStream);
  const ours = from.newStream();
  await ours.write(Buffer.from(first));
  const { detail: theirs } = await opened;
  return [ours, theirs];
}

/** All bytes of a stream. */
async function readAll(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Echoes all streams of a connection. */
function echo(connection: QUICConnection): void {
  connection.addEventListener(
    events.EventQUICConnectionStream.name,
    async ({ detail: stream }: events.EventQUICConnectionStream) => {
      for await (const chunk of stream) await stream.write(chunk);
      await stream.end();
    },
  );
}

export type { Pair };
export { authority, createPair, echo, listeningLogger, nextEvent, openStream, readAll, recordEvents, startSocket };
