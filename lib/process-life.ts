// How processes end. Children end with their parent, also when it was killed with SIGKILL and their own
// event loop is blocked; and a process that is done ends at once.
import { flushCompileCache } from 'node:module';
import { PipelineError } from './errors.ts';
import { exitAtOnce, lastErrno, prctl } from './libc.ts';

const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;

/**
 * Call first thing in the child's main thread, and again after a change of user or capabilities (which
 * clears the kernel's note). The parent must have started the child from its main thread: the signal
 * comes at the end of the thread that did. `parentPid`: who started us, where the parent has said so
 * (else a parent that died before this line is noticed by the closed IPC channel only).
 * Listening to the channel keeps the process alive: a child that is done calls endNow.
 */
export function dieWithParent(parentPid: number = process.ppid): void {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) !== 0) {
    throw new PipelineError(
      'rights_missing',
      `prctl(PR_SET_PDEATHSIG) answers ${lastErrno()}: this process could outlive its parent; allow the call in the seccomp profile`,
    );
  }
  // The parent may have died before the kernel had our wish; then we have another one by now.
  if (process.ppid !== parentPid) process.kill(process.pid, 'SIGKILL');
  // Second line, for an event loop that runs: the channel closes with the parent.
  if (process.channel !== undefined) process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'));
}

/**
 * Ends this process, from whichever of its threads, when all that matters is durable. process.exit()
 * joins V8's compiler threads first, and where one of them waits for a garbage collection that the main
 * thread would have to make, both wait for ever (nodejs/node#54918: one stop in about a hundred).
 * Exit handlers don't run; what a pipe would not take yet of process.stdout is lost, as it is by
 * process.exit().
 */
export function endNow(code: number): never {
  flushCompileCache();
  exitAtOnce(code);
  throw new Error('_exit came back');
}
