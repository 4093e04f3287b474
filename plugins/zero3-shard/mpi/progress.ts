import { writeSync } from 'node:fs';
import type { MessagePort } from 'node:worker_threads';
import { receiveMessageOnPort } from 'node:worker_threads';
import type { Handle } from './abi.ts';
import { callsOf } from './calls.ts';
import { Control, type Notice, type Received } from './control.ts';
import type { Mpi, Started } from './library.ts';
import type { Flaw, Order, Reply } from './orders.ts';
import { Patience } from './patience.ts';

/** What the progress of collectives needs to know. */
export interface ProgressSettings {
  readonly rank: number;
  readonly ranks: number;
  /** The most bytes in a call of MPI. */
  readonly mostBytes: number;
  /** After how long a rank says what it waits for. */
  readonly slowAfterMs: number;
  /** How long the others get to end by themselves once a rank failed, before MPI_Abort ends them. */
  readonly graceMs: number;
  /** Counts what was posted: waited on with Atomics, so that an order wakes this thread. */
  readonly posted: Int32Array;
}

interface Pending {
  readonly id: number;
  readonly of: string;
  readonly channel: 0 | 1;
  readonly at: number;
  readonly started: Started;
  readonly patience: Patience;
}

/**
 * Carries out collectives in a thread that does nothing else: it starts them in the order in which they were asked for,
 * polls MPI until they are done, and listens to the other ranks meanwhile. So they go on while the main thread computes,
 * and the main thread sees signals while it waits.
 */
export class Progress {
  private readonly mpi: Mpi;
  private readonly port: MessagePort;
  private readonly settings: ProgressSettings;
  private readonly channels: readonly [Handle, Handle];
  private readonly control: Control;
  private pending: Pending[] = [];
  private readonly ended: (Received & { readonly kind: 'ended' })[] = [];
  private readonly begun = [new Begun(), new Begun()] as const;
  private failed: { readonly rank: number; readonly cause: string; readonly at: number } | undefined;
  private idleRounds = 0;

  constructor(mpi: Mpi, port: MessagePort, settings: ProgressSettings) {
    this.mpi = mpi;
    this.port = port;
    this.settings = settings;
    this.channels = [mpi.communicator(), mpi.communicator()];
    this.control = new Control(mpi, mpi.communicator());
  }

  /** Works until it is told to finish; gives the exit code. */
  run(): number {
    for (;;) {
      const seen = Atomics.load(this.settings.posted, 0);
      for (let order = this.next(); order !== undefined; order = this.next()) {
        if (order.kind === 'finish') return order.code;
        this.take(order);
      }
      this.poll();
      this.rest(seen);
    }
  }

  /**
   * Waits until all ranks have come to their end, and ends MPI, when all that was said has been heard: it may hang
   * otherwise. Once a rank failed, the others have only so long.
   */
  finish(code: number): void {
    const [first, second] = this.begun;
    if (!endedInOrder.includes(code)) this.abort(`it ended with exit code ${code}`);
    this.tellOthers({ kind: 'ended', begun: [first.count, second.count] });
    while (this.ended.length < this.settings.ranks - 1 || !this.control.isSent) {
      // who asks will hear that this rank has ended
      for (const notice of this.control.receive()) if (notice.kind !== 'asked') this.hear(notice);
      if (this.failed !== undefined && performance.now() - this.failed.at > this.settings.graceMs)
        this.endAll(this.failed, code === 0 ? 1 : code);
      Atomics.wait(this.settings.posted, 0, Atomics.load(this.settings.posted, 0), 1);
    }
    this.mpi.finalize();
  }

  /** The main thread waits for this one, so it is this one that speaks. */
  private endAll({ rank, cause }: { readonly rank: number; readonly cause: string }, code: number): void {
    const seconds = this.settings.graceMs / 1000;
    writeSync(2, `Rank ${rank} failed (${cause}). Not all ranks ended in ${seconds} s, so MPI_Abort ends them.\n`);
    this.mpi.abort(code);
  }

  private next(): Order | undefined {
    return (receiveMessageOnPort(this.port) as { message: Order } | undefined)?.message;
  }

  private take(order: Exclude<Order, { kind: 'finish' }>): void {
    this.idleRounds = 0;
    if (order.kind === 'abort') this.abort(order.cause);
    else if (this.failed !== undefined) this.reply({ kind: 'failed', id: order.id, flaw: this.flaw(order.of) });
    else this.attempt(order.id, () => this.begin(order));
  }

  private begin({ id, of, channel, transfer }: Order & { kind: 'collective' }): void {
    const at = this.begun[channel].add(of);
    const calls = callsOf(transfer, this.settings.rank, this.settings.mostBytes);
    const started = this.mpi.start(calls, this.channels[channel]);
    const patience = new Patience(this.settings.slowAfterMs, this.settings.ranks, this.settings.rank);
    this.pending.push({ id, of, channel, at, started, patience });
  }

  private poll(): void {
    const before = this.pending;
    this.pending = [];
    for (const each of before)
      this.attempt(each.id, () => {
        if (this.mpi.test(each.started)) this.reply({ kind: 'done', id: each.id });
        else this.pending.push(each);
      });
    if (this.pending.length < before.length) this.idleRounds = 0;
    for (const notice of this.control.receive()) this.hear(notice);
    for (const each of this.pending) this.lookAfter(each);
    for (const { from, begun } of this.ended)
      if (this.pending.some(({ channel, at }) => at >= begun[channel]))
        this.fail(from, 'its program ended before that of the others');
  }

  /** Asks the others about a collective that takes long, and says who has not come to it. */
  private lookAfter({ of, channel, at, patience }: Pending): void {
    const { ask, report } = patience.next(performance.now());
    for (const rank of ask) this.control.send(rank, { kind: 'asked', channel, at });
    if (report !== undefined) this.reply({ kind: 'slow', of, ...report });
  }

  private hear(notice: Received): void {
    if (notice.kind === 'failed') this.fail(notice.from, notice.cause);
    else if (notice.kind === 'ended') this.ended.push(notice);
    else if (notice.kind === 'asked')
      this.control.send(notice.from, { ...notice, kind: 'told', ...this.begun[notice.channel].at(notice.at) });
    else this.learn(notice);
  }

  private learn({ channel, at, isThere, of, from }: Received & { kind: 'told' }): void {
    const own = this.pending.find((each) => each.channel === channel && each.at === at);
    if (own === undefined || !isThere) return;
    own.patience.isThere(from);
    if (of !== undefined && of !== own.of) this.abort(`it asked for "${own.of}" where rank ${from} asked for "${of}"`);
  }

  private abort(cause: string): void {
    if (this.failed !== undefined) return;
    this.tellOthers({ kind: 'failed', cause });
    this.fail(this.settings.rank, cause);
  }

  private tellOthers(notice: Notice): void {
    for (let rank = 0; rank < this.settings.ranks; rank++)
      if (rank !== this.settings.rank) this.control.send(rank, notice);
  }

  private fail(rank: number, cause: string): void {
    if (this.failed !== undefined) return;
    this.failed = { rank, cause, at: performance.now() };
    for (const { id, of } of this.pending) this.reply({ kind: 'failed', id, flaw: this.flaw(of) });
    this.pending = [];
  }

  private flaw(of: string): Flaw {
    return {
      code: 'RANK_FAILED',
      details: { rank: this.failed?.rank ?? 0, cause: this.failed?.cause ?? '', awaited: of },
    };
  }

  /** What MPI says against it fails the collective, not this thread. */
  private attempt(id: number, doIt: () => void): void {
    try {
      doIt();
    } catch (error) {
      this.reply({ kind: 'failed', id, flaw: flawOf(error) });
    }
  }

  /**
   * Lets others have the processor: shortly while data moves, longer the longer nothing happens. An order ends the rest.
   */
  private rest(seen: number): void {
    const rounds = this.idleRounds++;
    if (this.pending.length > 0 && rounds < 20) return;
    const longest = this.pending.length > 0 ? 1 : 50;
    Atomics.wait(this.settings.posted, 0, seen, Math.min(longest, 0.05 * 1.1 ** (rounds - 20)));
  }

  private reply(reply: Reply): void {
    this.port.postMessage(reply);
  }
}

/** Exit codes of a run that came to its end, or that a signal stopped: then too it has saved what it has to. */
const endedInOrder = [0, 130, 143];

/** What a rank has begun, counted, and what the latest were for. */
class Begun {
  private readonly latest: string[] = [];
  count = 0;

  add(of: string): number {
    this.latest[this.count % remembered] = of;
    return this.count++;
  }

  at(number: number): { isThere: boolean; of?: string } {
    const of = number >= this.count - remembered ? this.latest[number % remembered] : undefined;
    const isThere = number < this.count;
    return { isThere, ...(isThere && of !== undefined ? { of } : {}) };
  }
}

const remembered = 1024;

/** An error as plain data. */
export function flawOf(error: unknown): Flaw {
  const { code, details } = error as Partial<Flaw>;
  if (code !== undefined && details !== undefined) return { code, details };
  const reason = error instanceof Error ? error.message : String(error);
  return { code: 'MPI_FAILED', details: { call: 'a call', library: 'MPI', reason } };
}
