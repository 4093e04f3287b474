import type * as Contract from './contracts.ts';

export type * from './contracts.ts';

/** A typed name of a service. `usualProvider` is the plugin to name when nobody provides it. */
export interface Token<Service> {
  readonly name: string;
  readonly symbol: symbol;
  readonly usualProvider: string;
  /** Never present: it carries the type. */
  readonly service?: Service;
}

/** Makes a token; plugins make their own the same way. Tokens of one name are one token, whichever copy made them. */
export function token<Service>(name: string, usualProvider: string): Token<Service> {
  return { name, symbol: Symbol.for(`mooring/${name}`), usualProvider };
}

// each token has the name of the interface that its service keeps
export const Objective = token<Contract.Objective>('Objective', 'dpo');
export const Reference = token<Contract.Reference>('Reference', 'ref-clone');
export const ParameterStore = token<Contract.ParameterStore>('ParameterStore', 'core');
export const Optimizer = token<Contract.Optimizer>('Optimizer', 'core');
export const DataSource = token<Contract.DataSource>('DataSource', 'preference-data');
/** `undefined` where a run names no evaluation data. */
export const EvaluationData = token<Contract.DataSource | undefined>('EvaluationData', 'preference-data');
export const Engine = token<Contract.Engine>('Engine', 'core');
export const Model = token<Contract.Model>('Model', 'causal-lm');
export const Tokenizer = token<Contract.Tokenizer>('Tokenizer', 'tokenizer');
export const Generator = token<Contract.Generator>('Generator', 'causal-lm');
export const Driver = token<Contract.Driver>('Driver', 'core');
export const Drivers = token<Contract.Drivers>('Drivers', 'core');
export const Models = token<Contract.Models>('Models', 'causal-lm');
export const Schedule = token<Contract.Schedule>('Schedule', 'core');
export const Random = token<Contract.Random>('Random', 'core');
export const Clock = token<Contract.Clock>('Clock', 'core');
/** Alone unless a plugin brings ranks. */
export const Collectives = token<Contract.Collectives>('Collectives', 'zero3-shard');
export const Log = token<Contract.Log>('Log', 'core');
/** The checked run configuration: paths and train settings. */
export const RunConfig = token<Contract.RunConfig>('RunConfig', 'core');
export type Objective = Contract.Objective;
export type Reference = Contract.Reference;
export type ParameterStore = Contract.ParameterStore;
export type Optimizer = Contract.Optimizer;
export type DataSource = Contract.DataSource;
export type Engine = Contract.Engine;
export type Model = Contract.Model;
export type Tokenizer = Contract.Tokenizer;
export type Generator = Contract.Generator;
export type Driver = Contract.Driver;
export type Drivers = Contract.Drivers;
export type Models = Contract.Models;
export type Schedule = Contract.Schedule;
export type Random = Contract.Random;
export type Clock = Contract.Clock;
export type Collectives = Contract.Collectives;
export type Log = Contract.Log;
export type RunConfig = Contract.RunConfig;
