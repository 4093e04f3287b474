import type { Handle } from './abi.ts';
import type { Mpi, Started, Waiting } from './library.ts';

/** What ranks tell each other beside their collectives. */
export type Notice =
  /** The sender failed. */
  | { readonly kind: 'failed'; readonly cause: string }
  /** The sender's program has come to its end, after so many collectives of each channel: the last that it says. */
  | { readonly kind: 'ended'; readonly begun: readonly [number, number] }
  /** The sender waits in its collective number `at` of a channel: has the receiver come to that one? */
  | { readonly kind: 'asked'; readonly channel: 0 | 1; readonly at: number }
  /** The answer, and what the receiver's collective of that number was for, if it still knows. */
  | {
      readonly kind: 'told';
      readonly channel: 0 | 1;
      readonly at: number;
      readonly isThere: boolean;
      readonly of?: string;
    };

/** A notice and the rank that it is from. */
export type Received = Notice & { readonly from: number };

/** Small messages between ranks on a communicator of their own, which arrive whatever the collectives wait for. */
export class Control {
  private readonly mpi: Mpi;
  private readonly on: Handle;
  /** MPI reads the messages until they are sent, so they are kept. */
  private sending: { readonly message: Uint8Array; readonly started: Started }[] = [];

  constructor(mpi: Mpi, on: Handle) {
    this.mpi = mpi;
    this.on = on;
  }

  /** Whether all that was sent has left, as of the last `receive`. */
  get isSent(): boolean {
    return this.sending.length === 0;
  }

  send(to: number, notice: Notice): void {
    const message = new TextEncoder().encode(JSON.stringify(notice));
    this.sending.push({ message, started: this.mpi.send(message, to, tag, this.on) });
  }

  /** What has arrived; moves on what is being sent. */
  receive(): Received[] {
    this.sending = this.sending.filter(({ started }) => !this.mpi.test(started));
    const received: Received[] = [];
    for (let waiting = this.mpi.probe(this.on); waiting !== undefined; waiting = this.mpi.probe(this.on))
      received.push(this.read(waiting));
    return received;
  }

  private read(waiting: Waiting): Received {
    const text = new TextDecoder().decode(this.mpi.receive(waiting, this.on));
    return { ...(JSON.parse(text) as Notice), from: waiting.source };
  }
}

const tag = 1;
