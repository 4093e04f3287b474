import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** Two network namespaces with a cable between them: hosts as far as MPI can tell. */
export interface TwoHosts {
  /** What to add to Open MPI's command line, which runs on the first, so that one rank runs on each. */
  readonly options: readonly string[];
  /** Runs a command on the first. */
  readonly on: readonly string[];
  /** Bytes that the first has sent over the cable. */
  bytesSent(): number;
  remove(): void;
}

const subnet = '198.18.77.0/30'; // of those kept for tests of networks
/** What its ends are called, on each host. */
const cable = 'cable';
const addresses = ['198.18.77.1', '198.18.77.2'];

/** Sets two hosts up; a string says why that is not possible here. */
export function createTwoHosts(): TwoHosts | string {
  const names = ['alpha', 'bravo'].map((name) => `mooring-${process.pid}-${name}`);
  const folder = mkdtempSync(path.join(tmpdir(), 'hosts-'));
  const remove = () => {
    for (const name of names) ip(['netns', 'delete', name]);
    rmSync(folder, { recursive: true });
  };
  const [first = '', second = ''] = names;
  const steps = [
    ...names.map((name) => ['netns', 'add', name]),
    ['link', 'add', cable, 'netns', first, 'type', 'veth', 'peer', 'name', cable, 'netns', second],
    ...names.flatMap((name, index) => [
      ['-n', name, 'address', 'add', `${addresses[index]}/30`, 'dev', cable],
      ['-n', name, 'link', 'set', 'lo', 'up'],
      ['-n', name, 'link', 'set', cable, 'up'],
    ]),
    ['netns', 'exec', first, 'true'],
  ];
  for (const step of steps) {
    const { status, error, stderr } = ip(step);
    if (status === 0) continue;
    remove();
    return `no network of two hosts here: ip ${step.join(' ')}: ${error?.message ?? stderr.trim()}`;
  }
  // what ssh would be: gets a host and a command for a shell
  const agent = path.join(folder, 'agent');
  writeFileSync(agent, `#!/bin/sh\nshift\nexec ip netns exec ${second} sh -c "$*"\n`);
  chmodSync(agent, 0o755);
  return {
    options: [
      ...['--host', addresses.map((address) => `${address}:1`).join(',')],
      ...['--mca', 'plm_rsh_agent', agent],
      ...['--mca', 'btl', 'tcp,self'],
      ...['--mca', 'btl_tcp_if_include', subnet],
      ...['--mca', 'oob_tcp_if_include', subnet],
    ],
    on: ['ip', 'netns', 'exec', first],
    bytesSent() {
      const shown = JSON.parse(ip(['-n', first, '-json', '-statistics', 'link', 'show', cable]).stdout);
      return (shown as { stats64: { tx: { bytes: number } } }[])[0]?.stats64.tx.bytes ?? 0;
    },
    remove,
  };
}

function ip(args: readonly string[]) {
  return spawnSync('ip', args, { encoding: 'utf8' });
}
