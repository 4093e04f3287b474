import { describe, expect, test } from '@jest/globals';
import { type Collectives, defineErrors, MooringError, rankFailed } from 'mooring';
import { inRanks } from 'mooring/testing';
import { inStep, onFirst, together } from '../../../core/collectives/together.ts';

const failure = defineErrors({
  PAPER_OUT: { fact: 'Tray {tray} is empty.', consequence: 'Nothing was printed.', remedy: 'Fill it.' },
});

/** What each rank threw, or returned. */
async function seenBy(ranks: number, body: (collectives: Collectives) => Promise<unknown>): Promise<unknown[]> {
  return inRanks(ranks, (collectives) => body(collectives).catch((error) => error));
}

describe('what has no collectives', () => {
  test('fails on all ranks with the code of the first that failed, which the others name', async () => {
    const seen = await seenBy(3, (collectives) =>
      together(collectives, 'the print', async () => {
        if (collectives.rank > 0) throw failure('PAPER_OUT', { tray: collectives.rank });
      }),
    );
    for (const error of seen) expect(error).toMatchObject({ code: 'PAPER_OUT', details: { tray: 1 } });
    expect((seen[0] as Error).message).toMatch(/^On rank 1: Tray 1 is empty\./);
    expect((seen[1] as Error).message).toMatch(/^Tray 1 is empty\./);
  });

  test('is heard of by all before the error of one can end the others', async () => {
    let isOver = false;
    const seen = await inRanks(2, (collectives) => {
      // by MPI one rank may be done with a collective, and fail, before another is
      const allGather: Collectives['allGather'] = async (own, sizes, of) => {
        const all = await collectives.allGather(own, sizes, of);
        for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
        if (isOver) throw rankFailed(0, 'paper', of);
        return all;
      };
      const own = collectives.rank === 0 ? collectives : { ...collectives, allGather };
      return onFirst(own, 'the print', () => Promise.reject(failure('PAPER_OUT', { tray: 0 }))).catch((error) => {
        isOver = true;
        return error;
      });
    });
    for (const error of seen) expect(error).toMatchObject({ code: 'PAPER_OUT' });
  });

  test.each([
    ['an error without a message', new Error('')],
    ['a text', 'paper'],
    ['nothing', undefined],
  ])('%s that one rank throws fails all', async (_, thrown) => {
    const seen = await seenBy(2, async (collectives) => {
      await together(collectives, 'the print', async () => {
        if (collectives.rank === 1) throw thrown;
      });
      return 'went on';
    });
    expect(seen[0]).toMatchObject({ code: 'RANK_FAILED' });
    expect(seen[1]).toBe(thrown);
  });
});

describe('what has collectives', () => {
  test('a rank that throws beside them ends the others where they wait, with its cause', async () => {
    const seen = await seenBy(3, (collectives) =>
      inStep(collectives, 'the print', async () => {
        if (collectives.rank === 2) throw new Error('my disk burnt');
        await collectives.barrier('paper');
      }),
    );
    expect(seen[0]).toMatchObject({ code: 'RANK_FAILED' });
    expect((seen[1] as MooringError).message).toMatch(/Rank 2 failed: my disk burnt\./);
    expect(seen[2]).toMatchObject({ message: 'my disk burnt' });
  });

  test('what all ranks know of aborts nothing: they may go on together', async () => {
    const seen = await seenBy(2, async (collectives) => {
      const printing = inStep(collectives, 'the print', () =>
        together(collectives, 'a page', async () => {
          if (collectives.rank === 1) throw failure('PAPER_OUT', { tray: 1 });
        }),
      );
      await expect(printing).rejects.toMatchObject({ code: 'PAPER_OUT' });
      await collectives.barrier('the next print');
      return 'went on';
    });
    expect(seen).toEqual(['went on', 'went on']);
  });

  test('no rank goes on before the body has ended well on all', async () => {
    const seen = await seenBy(2, async (collectives) => {
      await inStep(collectives, 'the print', async () => {
        if (collectives.rank === 1) throw new Error('jam');
      });
      return 'went on';
    });
    expect(seen[0]).toBeInstanceOf(MooringError);
    expect(seen[1]).toMatchObject({ message: 'jam' });
  });
});
