import type { Endpoint } from '../native';
import type { Host } from '../types';
import { reach } from './socket';

/** Addresses after which the book is begun anew: strangers can make up as many as they like. */
const MAX_ADDRESSES = 4096;

/** An address in the form the socket wants. */
type Target = { host: string; port: number };

/** The endpoint's small numbers for addresses, so that no packet costs a string. */
class AddressBook {
  readonly #ids = new Map<string, Map<number, number>>();
  #targets: (Target | undefined)[] = [];
  #count = 0;
  // Most datagrams come from where the one before came from.
  #lastHost = '';
  #lastPort = -1;
  #lastId = 0;

  /** `isIPv6Socket`: IPv4 addresses are reached in their IPv4-mapped form. */
  constructor(readonly isIPv6Socket: boolean) {}

  /** Forgets all numbers when there are too many. Numbers got before are void then. */
  trim(endpoint: Endpoint): void {
    if (this.#count <= MAX_ADDRESSES && this.#targets.length <= MAX_ADDRESSES) return;
    endpoint.resetAddresses();
    this.#ids.clear();
    this.#targets = [];
    this.#count = 0;
    this.#lastPort = -1;
  }

  /** The number of an address. */
  id(endpoint: Endpoint, host: string, port: number): number {
    if (port === this.#lastPort && host === this.#lastHost) return this.#lastId;
    let ports = this.#ids.get(host);
    if (ports === undefined) this.#ids.set(host, (ports = new Map<number, number>()));
    let id = ports.get(port);
    if (id === undefined) {
      id = endpoint.internAddress(host, port);
      ports.set(port, id);
      this.#count += 1;
    }
    this.#lastHost = host;
    this.#lastPort = port;
    this.#lastId = id;
    return id;
  }

  /** The address of a number. */
  target(endpoint: Endpoint, id: number): Target {
    return (this.#targets[id] ??= this.#lookUp(endpoint, id));
  }

  /** An address in the form the socket wants. */
  reach(host: Host): string {
    return reach(host, this.isIPv6Socket);
  }

  #lookUp(endpoint: Endpoint, id: number): Target {
    const { host, port } = endpoint.address(id);
    return { host: this.reach(host as Host), port };
  }
}

export type { Target };
export default AddressBook;
