// A small internet in network namespaces: a public segment, and networks behind real NATs of the Linux kernel. For the NAT
// tests and the demo. Needs Linux, root, and the programs of iproute2 and nftables.
//
//   h1 ── r1 ── world ── r2 ── h2        `world` is the public segment; r1 and r2 are there where something stands between
//
// Nothing outside of the namespaces is touched, and all are removed at the end.

'use strict';

const { spawnSync } = require('node:child_process');
const { randomBytes } = require('node:crypto');
const process = require('node:process');

/** Addresses in the public segment, on which a rendezvous may listen. */
const WORLD = { v4: ['203.0.113.1', '203.0.113.2'], v6: ['2001:db8::1', '2001:db8::2'] };

/** What may stand between a host and the public segment. */
const KINDS = {
  /** Nothing: the host has a public address. */
  none: undefined,
  /** One outside port for each inside port, whoever is spoken to; only those who were spoken to come in. */
  'port-restricted': { nat: 'masquerade' },
  /** Another outside port for each destination. */
  symmetric: { nat: 'masquerade fully-random' },
  /** IPv6 addresses are public; only those who were spoken to come in. */
  firewall: {},
};

class Lab {
  #name = `pq${process.pid}-${randomBytes(3).toString('hex')}`;
  #namespaces = [];
  /** Of each network, what is connected to the public segment. */
  #edges = new Map();
  #remove = () => this.close();

  /** Why there can be no lab here; `undefined` if there can. */
  static problem() {
    if (process.platform !== 'linux') return 'network namespaces need Linux';
    if (process.getuid() !== 0) return 'network namespaces need root';
    for (const [program, ...args] of [
      ['ip', '-V'],
      ['nft', '-v'],
      ['tc', '-V'],
    ]) {
      if (spawnSync(program, args).status !== 0) return `there is no ${program}: install iproute2 and nftables`;
    }
    const lab = new Lab();
    try {
      lab.#create('try');
      lab.#nft('try', 'add table inet lab');
      return undefined;
    } catch (error) {
      return `the kernel doesn't let us: ${error.message}`;
    } finally {
      lab.close();
    }
  }

  constructor() {
    sweep();
    process.once('exit', this.#remove);
  }

  /** Makes the public segment and networks: an array of kinds; the first is network 1. */
  build(kinds) {
    this.#create('world');
    this.#forward('world');
    for (const address of [...WORLD.v4, ...WORLD.v6]) this.ip('world', `addr add ${address} dev lo`);
    kinds.forEach((kind, index) => this.#addNetwork(index + 1, kind));
    return this;
  }

  /** The command in front of a program that is to run in a namespace: `world`, `h1`, `r1`, … */
  prefix(name) {
    return ['ip', 'netns', 'exec', this.#full(name)];
  }

  /** Runs `ip` in a namespace. */
  ip(name, command) {
    run('ip', ['-n', this.#full(name), ...command.split(' ')]);
  }

  /** Runs `tc` in a namespace. */
  tc(name, command) {
    run('tc', ['-n', this.#full(name), ...command.split(' ')]);
  }

  /** Sets a kernel parameter of a namespace. */
  sysctl(name, setting) {
    run(...command([...this.prefix(name), 'sysctl', '-qw', setting]));
  }

  /** The NAT of a network forgets all its mappings: so masquerading does when its outside address goes. */
  forget(index) {
    const { outside, gateway } = addressesOf(index);
    this.ip(`r${index}`, `addr del ${outside}/30 dev out`);
    this.ip(`r${index}`, `addr add ${outside}/30 dev out`);
    this.ip(`r${index}`, `route replace default via ${gateway}`);
  }

  /** The router of a network drops so many percent of the packets, in both directions. */
  lose(index, percent) {
    this.#nft(`r${index}`, `insert rule inet lab forward numgen random mod 100 < ${percent} drop`);
  }

  /** The way from a network to the public segment, and back, gets so slow: `2mbit`. */
  slow(index, rate) {
    this.tc(this.#edges.get(index), `qdisc replace dev out root tbf rate ${rate} burst 16kb latency 100ms`);
    this.tc('world', `qdisc replace dev to${index} root tbf rate ${rate} burst 16kb latency 100ms`);
  }

  /** The link between a network and the public segment carries packets of so many bytes at most, headers included. */
  limit(index, bytes) {
    this.ip(this.#edges.get(index), `link set out mtu ${bytes}`);
    this.ip('world', `link set to${index} mtu ${bytes}`);
  }

  /** A host without NAT gets another public address. */
  readdress(index) {
    const host = `h${index}`;
    const { outside, gateway, other, otherGateway } = addressesOf(index);
    this.ip('world', `addr add ${otherGateway}/30 dev to${index}`);
    this.ip(host, `addr add ${other}/30 dev out`);
    this.ip(host, `route replace default via ${otherGateway}`);
    this.ip(host, `addr del ${outside}/30 dev out`);
    this.ip('world', `addr del ${gateway}/30 dev to${index}`);
    return other;
  }

  /** Removes everything. */
  close() {
    process.off('exit', this.#remove);
    for (const name of this.#namespaces.splice(0)) spawnSync('ip', ['netns', 'del', name]);
  }

  #addNetwork(index, kind) {
    if (!(kind in KINDS)) throw new Error(`there is no ${kind}`);
    const between = KINDS[kind];
    const edge = between === undefined ? `h${index}` : `r${index}`;
    this.#edges.set(index, edge);
    this.#create(edge);
    this.#connectToWorld(index, edge);
    if (between === undefined) return;
    this.#forward(edge);
    this.#addHost(index);
    this.#guard(edge, between);
  }

  #connectToWorld(index, edge) {
    const { outside, gateway, outside6, gateway6, inside6 } = addressesOf(index);
    this.#link('world', `to${index}`, edge, 'out');
    this.ip('world', `addr add ${gateway}/30 dev to${index}`);
    this.ip('world', `addr add ${gateway6}/64 dev to${index} nodad`);
    this.ip(edge, `addr add ${outside}/30 dev out`);
    this.ip(edge, `addr add ${outside6}/64 dev out nodad`);
    this.ip(edge, `route add default via ${gateway}`);
    this.ip(edge, `-6 route add default via ${gateway6}`);
    this.ip('world', `-6 route add ${inside6}::/64 via ${outside6}`);
  }

  #addHost(index) {
    const [router, host] = [`r${index}`, `h${index}`];
    const { inside, inside6 } = addressesOf(index);
    this.#create(host);
    this.#link(router, 'in', host, 'out');
    this.ip(router, `addr add ${inside}.1/24 dev in`);
    this.ip(router, `addr add ${inside6}::1/64 dev in nodad`);
    this.ip(host, `addr add ${inside}.2/24 dev out`);
    this.ip(host, `addr add ${inside6}::2/64 dev out nodad`);
    this.ip(host, `route add default via ${inside}.1`);
    this.ip(host, `-6 route add default via ${inside6}::1`);
  }

  /**
   * A router answers nobody outside, not even by a refusal. If it took what nobody asked for, the kernel would remember
   * it, and give the inside host's packet to that address another port: a port-restricted NAT would be symmetric at random.
   */
  #guard(router, { nat }) {
    this.#nft(router, 'add table inet lab');
    this.#nft(router, 'add chain inet lab input { type filter hook input priority 0; policy drop; }');
    this.#nft(router, 'add rule inet lab input iifname "in" accept');
    this.#nft(router, 'add rule inet lab input meta l4proto ipv6-icmp accept');
    this.#nft(router, 'add chain inet lab forward { type filter hook forward priority 0; policy drop; }');
    this.#nft(router, 'add rule inet lab forward iifname "in" accept');
    this.#nft(router, 'add rule inet lab forward ct state established,related accept');
    if (nat === undefined) return;
    this.#nft(router, 'add table ip nat');
    this.#nft(router, 'add chain ip nat postrouting { type nat hook postrouting priority 100; }');
    this.#nft(router, `add rule ip nat postrouting oifname "out" ${nat}`);
  }

  #create(name) {
    run('ip', ['netns', 'add', this.#full(name)]);
    this.#namespaces.push(this.#full(name));
    this.ip(name, 'link set lo up');
  }

  #link(one, device, other, otherDevice) {
    this.ip(one, `link add ${device} type veth peer name ${otherDevice} netns ${this.#full(other)}`);
    this.ip(one, `link set ${device} up`);
    this.ip(other, `link set ${otherDevice} up`);
  }

  #forward(name) {
    this.sysctl(name, 'net.ipv4.ip_forward=1');
    this.sysctl(name, 'net.ipv6.conf.all.forwarding=1');
  }

  #nft(name, rule) {
    run(...command([...this.prefix(name), 'nft', rule]));
  }

  #full(name) {
    return `${this.#name}-${name}`;
  }
}

/** Removes what labs left behind whose processes were killed. */
function sweep() {
  const { stdout } = spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' });
  for (const [name, pid] of (stdout ?? '').matchAll(/^pq(\d+)-\S+/gm)) {
    if (!isAlive(Number(pid))) spawnSync('ip', ['netns', 'del', name]);
  }
}

function isAlive(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** The addresses of a network. */
function addressesOf(index) {
  return {
    outside: `198.51.100.${index * 8 + 2}`,
    gateway: `198.51.100.${index * 8 + 1}`,
    /** To which the host may move. */
    other: `198.51.100.${index * 8 + 6}`,
    otherGateway: `198.51.100.${index * 8 + 5}`,
    outside6: `2001:db8:${index}::2`,
    gateway6: `2001:db8:${index}::1`,
    inside: `10.0.${index}`,
    inside6: `2001:db8:10${index}`,
  };
}

function command([program, ...args]) {
  return [program, args];
}

function run(program, args) {
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr.trim()}`);
}

module.exports = { Lab, WORLD };
