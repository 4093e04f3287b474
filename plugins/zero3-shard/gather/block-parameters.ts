import type { Block, Driver } from 'mooring';

/** The names of all that a block reads, each once: its own parameters, and those that plugins defined for it. */
export class BlockParameters {
  private readonly defined = new Map<string, string[]>();

  readonly of = ({ name, parameters }: Block): readonly string[] => [
    ...new Set([...Object.values(parameters), ...(this.defined.get(name) ?? [])]),
  ];

  /** A driver of which it is noted what plugins define. */
  noted(inner: Driver): Driver {
    const { prepare } = inner;
    return {
      ...(prepare && { prepare }),
      define: (block, local, spec, value) => {
        inner.define(block, local, spec, value);
        this.defined.set(block, [...(this.defined.get(block) ?? []), spec.name]);
      },
      forward: (pass) => inner.forward(pass),
      backward: (pass, gradients) => inner.backward(pass, gradients),
      runBlock: (block, pass, inputs) => inner.runBlock(block, pass, inputs),
      differentiate: (outputs, keys, loss) => inner.differentiate(outputs, keys, loss),
      measure: (figures) => inner.measure(figures),
      release: () => inner.release(),
    };
  }
}
