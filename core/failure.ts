import { defineErrors } from './errors.ts';

/** What can go wrong in the kernel: registration, services, configuration, and the loop itself. */
export const failure = defineErrors({
  RUN_FROZEN: {
    fact: '{call} was called after the run was frozen.',
    consequence: 'The plugins of a run are settled by train() and explain(), so nothing was changed.',
    remedy: 'Call it before, or create a new trainer: createTrainer({config}).use(...).',
  },
  PLUGIN_DUPLICATE: {
    fact: 'Two plugins are named {plugin}.',
    consequence: 'Their taps, services and errors could not be told apart.',
    remedy: 'Remove one, or remove the default first: trainer.remove("{plugin}"), in a run file `- {plugin}: false`.',
  },
  PLUGIN_NOT_A_PLUGIN: {
    fact: 'use() was given {given}, which is no plugin.',
    consequence: 'Nothing was added.',
    remedy: 'Call the factory that definePlugin returns: use(myPlugin()), not use(myPlugin).',
  },
  PLUGIN_UNKNOWN: {
    fact: 'There is no plugin named {plugin} in this run to remove.',
    consequence: 'Nothing was removed.',
    remedy: 'Did you mean {nearest}?',
  },
  PLUGIN_API_VERSION: {
    fact: 'The plugin {plugin} was written for version {wanted} of the plugin API; this is version {have}.',
    consequence: 'Its hooks may not mean what it thinks, so it was not applied.',
    remedy: 'Install a release of {plugin} for version {have}.',
  },
  PLUGIN_MISSING: {
    fact: 'The plugin {plugin} requires the plugin {required}, which this run does not have.',
    consequence: '{plugin} would do nothing.',
    remedy: 'Add {required} to the plugins.',
  },
  PLUGIN_CONFLICT: {
    fact: 'The plugins {plugin} and {other} conflict: {because}',
    consequence: 'The run was not started.',
    remedy: 'Remove one of them.',
  },
  RANKS_FIRST_CHANGES: {
    fact: "The plugin {plugin} runs on the first rank only (ranks: 'first'), and {what}, which can change what is trained.",
    consequence:
      'The other ranks would train something else, and the weights would be a mixture: the run was not started.',
    remedy:
      "Leave out ranks: 'first', so that it runs on all of them; what should happen once, do where run.rank is 0.",
  },
  OPTIONS_INVALID: {
    fact: '{where}: {problem}.',
    consequence: 'The run was not started.',
    remedy: '{hint}',
  },
  COMMAND_OPTION_INVALID: {
    fact: 'mooring {command}:{flag} {problem}.',
    consequence: 'Nothing was run.',
    remedy: 'Correct it; `mooring {command} --help` lists the options.',
  },
  SERVICE_TOO_EARLY: {
    fact: 'The plugin {plugin} read the service {service} in apply(), or while services are being made.',
    consequence: 'Services exist only after every plugin has been applied and all are made.',
    remedy: 'Read it inside a hook, or name it in the `uses` of provide() and take it from the argument of create().',
  },
  SERVICE_NOT_DECLARED: {
    fact: 'The plugin {plugin} read a service {service} that it does not declare.',
    consequence: 'It was not resolved.',
    remedy: 'Add it to `uses` in definePlugin.',
  },
  SERVICE_MISSING: {
    fact: '{asker} needs the service {service}, and no plugin of this run provides it.',
    consequence: 'The run was not started.',
    remedy: 'It usually comes from the plugin {usual}: add it to the plugins.',
  },
  SERVICE_FAILED: {
    fact: 'The plugin {plugin} could not make the service {service}: {message}.',
    consequence: 'The run was not started.',
    remedy: 'The cause, with its own stack, is in `cause`.',
  },
  SERVICE_PROVIDED_TWICE: {
    fact: 'Both {first} and {second} provide the service {service}.',
    consequence: 'It would be a matter of luck which one is used.',
    remedy: "Remove one, or let the second say that it takes the first one's place: replaces: '{first}'.",
  },
  SERVICE_REPLACES_NOTHING: {
    fact: 'The plugin {plugin} provides {service} in place of {replaced}, which does not provide it.',
    consequence: 'There is nothing to replace.',
    remedy: 'Remove `replaces`, or add the plugin {replaced}.',
  },
  SERVICE_CYCLE: {
    fact: 'Services need each other in a circle: {cycle}.',
    consequence: 'None of them can be made first.',
    remedy: 'Take one of them out of the `uses` of its provider.',
  },
  OBJECTIVE_BATCH_KIND: {
    fact: 'The objective reads batches of kind {accepts}, and the data gives batches of kind {kind}.',
    consequence: 'Nothing was trained.',
    remedy: 'Use a data plugin for {accepts} data, or an objective for {kind} data.',
  },
  PASS_NEEDS_GRADIENT: {
    fact: 'A tap of `pass` answered the pass {pass}, which is being trained.',
    consequence: 'An answer has no gradient, so nothing could be learned from it.',
    remedy: 'Answer only passes whose `gradient` is false.',
  },
  KL_UNCOMPARED: {
    fact: 'The pass {pass} asks for `kl`, and {source} gave no {missing}.',
    consequence: 'The exact KL is computed of the logits of both models, and those of the reference are not there.',
    remedy:
      'Ask for it in a pass of the policy, with a reference that runs a model, such as ref-clone, without ref-cache; or take a statistic of `logps`, as kl-penalty does with `estimator: k3`.',
  },
  KL_VOCABULARIES: {
    fact: 'The policy predicts {policy} words, and the reference {reference}.',
    consequence: 'Their divergence is a sum over the words of both, so there is none.',
    remedy: 'Use a reference with the vocabulary of the policy.',
  },
  LOSS_UNDIFFERENTIATED: {
    fact: 'The loss depends on the output {output} of the pass {pass}, which is differentiated by {differentiated} only.',
    consequence: 'The gradient would lack what flows through {output}, and the run would learn something else.',
    remedy:
      'Name it in `differentiated` of the pass if it is logps, kl, referenceKl or jensenShannon; else take it as a constant.',
  },
  LOSS_COUNT_UNKNOWN: {
    fact: 'The loss term {name} is to be divided by the count {per}, which the batch does not have.',
    consequence: 'The loss would be a sum without a normaliser.',
    remedy: 'Use one of: {known}.',
  },
  NON_FINITE_LOSS: {
    fact: 'At step {step} the {figure} is {value}, first in the rows {rows}.',
    consequence: 'The optimizer did not take this step, and the run stops. {saved}',
    remedy: 'Lower train.learningRate, or look at those rows.',
  },
  REFERENCE_DIFFERS: {
    fact: 'Before the first step the KL between policy and reference ({kind}, fingerprint {fingerprint}) is {kl}.',
    consequence: 'It must be 0 within {bound}: the reference is not the model that training starts from.',
    remedy:
      'Look for a plugin that changes parameters between modelReady and the first step, or that taps one view only.',
  },
  REFERENCE_NOT_FINITE: {
    fact: 'Before the first step the KL between policy and reference ({kind}, fingerprint {fingerprint}) is {kl}.',
    consequence: 'Every loss that compares with it would be so too.',
    remedy: 'Look for weights of the reference that are not finite, or choose another reference.',
  },
  NO_EVALUATION_DATA: {
    fact: 'An evaluation was asked for, and the run has no evaluation data.',
    consequence: 'There is nothing to evaluate on.',
    remedy: 'Set evalData to a JSONL file, or provide the service EvaluationData.',
  },
  NO_STEPS: {
    fact: 'The run has no steps: {batches} batches an epoch and {epochs} epochs.',
    consequence: 'Nothing would be trained.',
    remedy: 'Set train.steps or train.epochs.',
  },
  NOTHING_TRAINABLE: {
    fact: 'Every parameter of the model is frozen.',
    consequence: 'Nothing would be trained.',
    remedy: 'Remove the plugin that freezes them, or add one that defines parameters of its own, such as an adapter.',
  },
  TAP_NOT_CAPTURABLE: {
    fact: 'The plugin {plugin} taps {hook} and does not say that it may be compiled.',
    consequence: 'Blocks where its tap is called run eagerly.',
    remedy: 'If its taps are pure functions of tensors, declare `capturable: true` in definePlugin.',
  },
  DATA_ENDED: {
    fact: 'The data ended before step {step} of {steps}.',
    consequence: 'The run stops here.',
    remedy:
      'A data source for training goes on, epoch after epoch: mend `open` in the plugin that provides DataSource.',
  },
});
