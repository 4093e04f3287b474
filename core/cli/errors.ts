import { defineErrors } from '../errors.ts';

/** What can go wrong between the command line and a run: run files, settings, plugins by name. */
export const failure = defineErrors({
  RUN_FILE_MISSING: {
    fact: '{file} cannot be read: {reason}.',
    consequence: 'Nothing was run.',
    remedy: 'Give the path of a run file, as in `mooring train run.yaml`; the README shows one.',
  },
  RUN_FILE_MALFORMED: {
    fact: '{where}: not valid YAML: {reason}.',
    consequence: 'Nothing was run.',
    remedy:
      'Correct that line; the usual causes are indentation, a missing space after a colon, and a key written twice.',
  },
  SETTING_MALFORMED: {
    fact: '--set {setting}: {reason}.',
    consequence: 'Nothing was run.',
    remedy: 'Write a key of the run file and its value, as in --set train.steps=5 or --set plugins.dpo.beta=0.2.',
  },
  PLUGIN_NOT_FOUND: {
    fact: '{where}: there is no plugin {plugin}: no built-in one has this name, and no package is installed under it.',
    consequence: 'Nothing was run.',
    remedy: 'Did you mean {nearest}? A plugin of your own is named by its path, as in ./{plugin}.ts.',
  },
  PLUGIN_FILE_MISSING: {
    fact: '{where}: {file} does not exist.',
    consequence: 'Nothing was run.',
    remedy: 'Correct the path; it is read relative to the folder of the run file.',
  },
  PLUGIN_LOAD_FAILED: {
    fact: '{where}: {plugin} cannot be loaded: {reason}.',
    consequence: 'Nothing was run.',
    remedy: 'Mend the module; with --debug the whole stack is shown.',
  },
  PLUGIN_NOT_EXPORTED: {
    fact: '{where}: {plugin} exports {found} plugins made by definePlugin.',
    consequence: 'It is not clear which one is meant.',
    remedy: 'Export one, or make one of them the default export.',
  },
  PLUGIN_NOT_THERE: {
    fact: '{where}: {plugin} is removed, and this run does not have it.',
    consequence: 'Nothing was run.',
    remedy: 'Did you mean {nearest}? The default plugins are: {known}.',
  },
});
