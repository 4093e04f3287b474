/** Hands on what a generator yields, with the next `depth` values already being made. */
export async function* readAhead<Value>(source: AsyncGenerator<Value>, depth: number): AsyncGenerator<Value> {
  const pending: Promise<IteratorResult<Value>>[] = [];
  const start = () => {
    const next = source.next();
    // A failure is thrown when its turn comes; until then it must not count as unhandled.
    next.catch(() => {});
    pending.push(next);
  };
  try {
    for (let ahead = 0; ahead < depth; ahead++) start();
    for (;;) {
      start();
      const result = await (pending.shift() as Promise<IteratorResult<Value>>);
      if (result.done === true) return;
      yield result.value;
    }
  } finally {
    await source.return(undefined);
  }
}
