import { defineErrors } from 'mooring';

/** What can go wrong where ranks are worker threads. */
export const failure = defineErrors({
  COLLECTIVE_TOO_LARGE: {
    fact: 'A collective was to carry {bytes} bytes from one rank, and threads share at most {most} at a time.',
    consequence: 'It cannot be carried out.',
    remedy: 'Use more ranks, or `transport: mpi`, which splits what is large.',
  },
  RANKS_CHANGED: {
    fact: 'This process runs {running} ranks as threads, and a second run in it asks for {ranks}.',
    consequence: 'Threads run the same program as the first rank from its beginning, so their number is settled.',
    remedy: 'Use the same number of ranks in all runs of a program, or start another process.',
  },
  RANKS_NEED_MAIN: {
    fact: 'The ranks of a run were to be started {where}.',
    consequence: 'They run the same program as the first rank, and it is not known which one that is.',
    remedy: 'Start the program from a file, as in `node main.js`, and train in its main thread; or use one rank.',
  },
  RANKS_TOO_MANY: {
    fact: 'The run asks for {ranks} ranks as threads, and a process has address space for {most}.',
    consequence: 'Starting them would end the process.',
    remedy: 'Lower `ranks`: more of them than processors only take turns.',
  },
  THREADS_IN_PROCESSES: {
    fact: 'The transport is threads, and {launcher} started {launched} processes.',
    consequence: 'Each of them would train by itself, into the same output, so nothing ran.',
    remedy: 'Leave out `transport`, so that each process is a rank, or start one process without mpirun.',
  },
});
