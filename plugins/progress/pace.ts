import type { Step } from 'mooring';

const window = 20;

/** How fast steps go, over the last twenty of them: the first is slower than the others, and lengths vary. */
export class Pace {
  private readonly marks: { readonly at: number; readonly tokens: number }[];

  /** `now` in milliseconds, before the first step. */
  constructor(now: number) {
    this.marks = [{ at: now, tokens: 0 }];
  }

  /** A step is done, and put so many tokens into the model. */
  add(now: number, tokens: number): void {
    this.marks.push({ at: now, tokens });
    if (this.marks.length > window + 1) this.marks.shift();
  }

  get tokensPerSecond(): number {
    const tokens = this.marks.slice(1).reduce((sum, mark) => sum + mark.tokens, 0);
    return (1000 * tokens) / this.milliseconds;
  }

  secondsLeft({ index, steps }: Step): number {
    return ((steps - index) * this.milliseconds) / (this.marks.length - 1) / 1000;
  }

  private get milliseconds(): number {
    const [first, last] = [this.marks[0], this.marks.at(-1)];
    return Math.max((last?.at ?? 0) - (first?.at ?? 0), 1e-3);
  }
}
