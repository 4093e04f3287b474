import path from 'node:path';
import { MessageChannel, Worker } from 'node:worker_threads';
import type { Collectives, Log } from 'mooring';
import { rankFailed } from 'mooring';
import { sayWhoIsSlow, slowAfterMilliseconds } from '../say-who-is-slow.ts';
import { mostBytes } from './calls.ts';
import { type MpiEnvironment, mpiEnvironment } from './environment.ts';
import { failure } from './errors.ts';
import { MpiCollectives } from './mpi-collectives.ts';
import type { Flaw, Order, Reply } from './orders.ts';
import type { ThreadData } from './thread.ts';

/** What may be set where ranks meet by MPI. */
export interface MpiOptions {
  readonly log: Log;
  /** Where this process stands, by default as its environment says. */
  readonly environment?: MpiEnvironment | undefined;
  /** The most bytes in a call of MPI, which counts in C's `int`. */
  readonly mostBytes?: number;
  /** After how long a rank says what it waits for: 10 seconds. */
  readonly slowAfterMs?: number;
  /** How long the others get to end by themselves once a rank failed, before MPI ends them: 5 seconds. */
  readonly graceMs?: number;
}

/**
 * Meets the other processes that `mpirun` started; resolves when all of them are there. A thread of its own talks to MPI,
 * and ends it before the process ends. Throws MPI_NOT_LAUNCHED, MPI_LIBRARY_MISSING, MPI_WORLD_DIFFERS and MPI_FAILED.
 */
export async function connectMpi(options: MpiOptions): Promise<Collectives> {
  const environment = options.environment ?? mpiEnvironment();
  if (environment === undefined) throw failure('MPI_NOT_LAUNCHED', {});
  const { address } = await import('koffi');
  const { rank, ranks } = environment;
  const limit = options.mostBytes ?? mostBytes;
  const { port1: port, port2 } = new MessageChannel();
  const [posted, ended] = [shared(), shared()];
  const post = (order: Order) => {
    port.postMessage(order);
    Atomics.add(posted, 0, 1);
    Atomics.notify(posted, 0);
  };
  const collectives = new MpiCollectives({ rank, ranks, mostBytes: limit, post, address });
  const { slowAfterMs = slowAfterMilliseconds, graceMs = 5000 } = options;
  const settings = { rank, ranks, mostBytes: limit, slowAfterMs, graceMs, posted };
  const thread = startThread({ port: port2, environment, settings, ended });
  await new Promise<void>((resolve, reject) => {
    const breakDown = (flaw: Flaw) => {
      Atomics.store(ended, 0, 1);
      reject(errorOf(flaw));
      collectives.breakAll(errorOf(flaw));
    };
    thread.on('error', ({ message: reason }) =>
      breakDown({ code: 'MPI_FAILED', details: { call: 'The thread', library: 'MPI', reason } }),
    );
    port.on('message', (reply: Reply) => {
      if (reply.kind === 'ready') resolve();
      else if (reply.kind === 'broken') breakDown(reply.flaw);
      else if (reply.kind === 'slow') sayWhoIsSlow(options.log, rank, reply);
      else collectives.settle(reply.id, reply.kind === 'failed' ? errorOf(reply.flaw) : undefined);
    });
  });
  // from here on, what waits for the other ranks keeps the process alive, and nothing else does
  thread.unref();
  port.unref();
  collectives.keepAlive = (isWaiting) => (isWaiting ? port.ref() : port.unref());
  process.on('uncaughtExceptionMonitor', (error) => collectives.abort(error.message));
  process.on('exit', (code) => {
    // the exit code of a program that waits for what never comes is not in the event
    post({ kind: 'finish', code: Number(process.exitCode ?? code) });
    Atomics.wait(ended, 0, 0);
  });
  return collectives;
}

function shared(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4));
}

/** From source, a thread has to be told how to read TypeScript; from the package it has nothing to read. */
function startThread(data: ThreadData): Worker {
  for (const [name, value] of Object.entries(ucxSettings)) process.env[name] ??= value;
  const extension = path.extname(import.meta.url);
  const execArgv = extension === '.ts' ? ['--import', import.meta.resolve('mooring/register')] : [];
  return new Worker(new URL(`./thread${extension}`, import.meta.url), {
    workerData: data,
    transferList: [data.port],
    execArgv,
  });
}

/**
 * MPICH, and Open MPI on some networks, move data by UCX, whose settings must be there before it is loaded. It would write
 * over functions of the C library, to hear of memory that is let go, while other threads of Node run them: seen to crash
 * 4 of 60 starts. And it would take signals from Node, which needs them for WebAssembly.
 */
const ucxSettings = { UCX_MEM_EVENTS: 'no', UCX_HANDLE_ERRORS: 'none' };

function errorOf({ code, details }: Flaw): Error {
  if (code === 'RANK_FAILED') return rankFailed(Number(details.rank), String(details.cause), String(details.awaited));
  return failure(code, details as never);
}
