import { failure } from './failure.ts';
import { divergenceNames } from './kl.ts';
import type { OutputName, Outputs, Pass, Prediction } from './model.ts';
import type { Session } from './session.ts';

type Scorers = Pick<Session, 'hooks' | 'driver' | 'reference'>;

/**
 * Scores passes, each under its key in `outputs`, whose owner frees them even where a pass fails. One that asks for a
 * divergence runs right after the reference's pass over the same rows: of that it needs the prediction.
 * Throws SERVICE_MISSING, PASS_NEEDS_GRADIENT and KL_UNCOMPARED.
 */
export async function scorePasses(
  scorers: Scorers,
  passes: readonly Pass[],
  outputs: Record<string, Outputs>,
): Promise<void> {
  for (const pass of passes.toSorted((a, b) => Number(isCompared(b)) - Number(isCompared(a)))) {
    if (outputs[pass.key] !== undefined) continue; // ran for one that compares with it
    if (isCompared(pass)) await compare(scorers, pass, passes, outputs);
    else outputs[pass.key] = await score(scorers, pass);
  }
}

function isCompared({ view, outputs }: Pass): boolean {
  return view === 'policy' && divergenceNames.some((name) => outputs.includes(name));
}

/** Runs a reference's pass over the same rows, one that the objective asks for if it can, and then the policy's. */
async function compare(
  scorers: Scorers,
  pass: Pass,
  passes: readonly Pass[],
  outputs: Record<string, Outputs>,
): Promise<void> {
  const shared = passes.find(
    ({ key, view, rows }) => view === 'reference' && rows === pass.rows && outputs[key] === undefined,
  );
  const { key, outputs: asked } = shared ?? { key: `${pass.key}/reference`, outputs: [] };
  const names = [...new Set<OutputName>([...asked, 'states', 'headWeight'])];
  const other: Pass = { key, rows: pass.rows, view: 'reference', gradient: false, outputs: names };
  const answered = await answer(scorers, other);
  const found = answered ?? (await run(scorers, other));
  outputs[key] = found;
  const reference = predictionOf(found, () => {
    const { kind } = scorers.reference ?? { kind: 'none' };
    const source = answered === undefined ? 'the reference' : 'a tap of `pass`, which answered for the reference';
    return { pass: pass.key, source: `${source} of the kind ${kind}` };
  });
  outputs[pass.key] = await score(scorers, { ...pass, reference });
  outputs[key] = only(found, asked);
}

/** Throws KL_UNCOMPARED. */
function predictionOf({ states, headWeight }: Outputs, details: () => { pass: string; source: string }): Prediction {
  if (states !== undefined && headWeight !== undefined) return { states, headWeight };
  throw failure('KL_UNCOMPARED', { ...details(), missing: '`states` and `headWeight`' });
}

async function score(scorers: Scorers, pass: Pass): Promise<Outputs> {
  return (await answer(scorers, pass)) ?? run(scorers, pass);
}

/** What taps say instead of computing. */
async function answer({ hooks }: Scorers, pass: Pass): Promise<Outputs | undefined> {
  const given = await hooks.pass({ pass });
  if (given !== undefined && pass.gradient) throw failure('PASS_NEEDS_GRADIENT', { pass: pass.key });
  return given;
}

async function run({ driver, reference }: Scorers, pass: Pass): Promise<Outputs> {
  if (pass.view === 'policy') return driver.forward(pass);
  if (reference === undefined) throw failure('SERVICE_MISSING', missingReference);
  return reference.score(pass);
}

const missingReference = { asker: 'The objective', service: 'Reference', usual: 'ref-clone' };

/** The outputs of these names; frees the others. */
function only(outputs: Outputs, names: readonly OutputName[]): Outputs {
  const entries = Object.entries(outputs) as [OutputName, Outputs[OutputName]][];
  for (const [name, tensor] of entries) if (!names.includes(name)) tensor?.dispose();
  return Object.fromEntries(entries.filter(([name]) => names.includes(name)));
}
