/** What may stand between a host and the public segment. */
type Kind = 'none' | 'port-restricted' | 'symmetric' | 'firewall';

/** A small internet in network namespaces: lab.cjs describes it. */
declare class Lab {
  /** Why there can be no lab here; `undefined` if there can. */
  static problem(): string | undefined;
  build(kinds: Kind[]): this;
  prefix(name: string): string[];
  ip(name: string, command: string): void;
  tc(name: string, command: string): void;
  sysctl(name: string, setting: string): void;
  forget(index: number): void;
  lose(index: number, percent: number): void;
  slow(index: number, rate: string): void;
  limit(index: number, bytes: number): void;
  readdress(index: number): string;
  close(): void;
}

declare const WORLD: { v4: [string, string]; v6: [string, string] };

export { Lab, WORLD };
export type { Kind };
