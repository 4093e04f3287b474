import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import type { Log } from 'mooring';
import { connectMpi } from '../../../../plugins/zero3-shard/mpi/connect-mpi.ts';
import { perform, type Script } from '../../../core/collectives/call.ts';

/** What a test has one rank do, or all of them. */
export type Task =
  | { readonly kind: 'perform'; readonly script: Script }
  /** Waits for the others. */
  | { readonly kind: 'meet'; readonly of: string }
  /** Waits for what comes from the last rank: no barrier. */
  | { readonly kind: 'hear'; readonly of: string }
  | { readonly kind: 'throw'; readonly message: string }
  /** Never comes back to its event loop. */
  | { readonly kind: 'spin' }
  | { readonly kind: 'kill' }
  | { readonly kind: 'end' };

// a rank of a test, under mpirun: does what the test says through a socket, and answers
const [socketPath = '', mostBytes, slowAfterMs] = process.argv.slice(2);
const socket = connect(socketPath);
// whatever it waits for: without a test there is nobody to end it
const orphaned = () => process.exit(1);
socket.on('close', orphaned);
const say = (message: object) => socket.write(`${JSON.stringify(message)}\n`);
const log = { warn: (_: object, message: string) => say({ warning: message }) } as Partial<Log> as Log;
const collectives = await connectMpi({
  log,
  ...(mostBytes === undefined ? {} : { mostBytes: Number(mostBytes) }),
  ...(slowAfterMs === undefined ? {} : { slowAfterMs: Number(slowAfterMs) }),
  graceMs: 3000,
});
say({ rank: collectives.rank, pid: process.pid });
for await (const line of createInterface({ input: socket })) {
  const task = JSON.parse(line) as Task;
  if (task.kind === 'end') break;
  if (task.kind === 'spin') for (;;);
  if (task.kind === 'kill') process.kill(process.pid, 'SIGKILL');
  if (task.kind === 'throw') throw new Error(task.message);
  if (task.kind === 'perform') say({ answers: await perform(collectives, task.script) });
  if (task.kind === 'hear') await collectives.broadcast(new Uint8Array(1), collectives.ranks - 1, task.of);
  if (task.kind === 'meet') await collectives.barrier(task.of).then(() => say({ met: task.of }));
}
socket.off('close', orphaned).end();
