/** A value of what is varied, and what was measured there; both positive. */
export type Measurement = readonly [x: number, y: number];

/** The exponent `k` of `y = c * x^k` that fits best: the slope by least squares of `log y` over `log x`. */
export function fitExponent(measurements: readonly Measurement[]): number {
  const logs = measurements.map(([x, y]) => [Math.log(x), Math.log(y)] as const);
  const mean = (of: (log: readonly [number, number]) => number) =>
    logs.reduce((sum, log) => sum + of(log), 0) / logs.length;
  const [meanX, meanY] = [mean(([x]) => x), mean(([, y]) => y)];
  return mean(([x, y]) => (x - meanX) * (y - meanY)) / mean(([x]) => (x - meanX) ** 2);
}

/** The larger half of the measurements, the middle one included: where fixed costs weigh least. */
export function upperHalf(measurements: readonly Measurement[]): readonly Measurement[] {
  const sorted = [...measurements].sort(([a], [b]) => a - b);
  return sorted.slice(Math.min(Math.floor(sorted.length / 2), sorted.length - 2));
}
