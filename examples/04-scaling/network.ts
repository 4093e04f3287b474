/** What is between the ranks: each sends over a link of its own, and the middle is never the bottleneck. */
export interface Network {
  /** Seconds from one rank to another before the first byte arrives. */
  readonly latencySeconds: number;
  /** That a rank can send, and receive at the same time. */
  readonly bytesPerSecond: number;
  /**
   * `ring`: each rank passes parts on to the next, in rounds that wait for each other. `direct`: each sends its part to
   * all others at once. A rank sends as many bytes either way.
   */
  readonly pattern: 'ring' | 'direct';
}

/** Seconds of an all-gather, or of a reduce-scatter, of `bytes` that `ranks` hold together: each sends all but one part. */
export function collectiveSeconds(bytes: number, ranks: number, network: Network): number {
  if (ranks === 1) return 0;
  const rounds = network.pattern === 'ring' ? ranks - 1 : 1;
  const sent = (bytes * (ranks - 1)) / ranks;
  return rounds * network.latencySeconds + sent / network.bytesPerSecond;
}
