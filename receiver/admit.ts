// Decides what becomes of a message's bytes: forwarded as they came, forwarded without the profiles
// that are wrong, answered without forwarding (nothing in it), or refused. Pure.
import { PipelineError } from '../lib/errors.ts';
import { withoutSpans } from './cut.ts';
import { problemsNamedMax } from './limits.ts';
import { type RejectedProfile, type Walked, walkProfiles } from './walk.ts';

export interface Admission {
  /** What goes to the log; null where the message has no samples. */
  readonly forward: Uint8Array | null;
  /** Of what is forwarded. */
  readonly resources: number;
  readonly profiles: number;
  readonly samples: number;
  readonly rejectedProfiles: number;
  readonly rejectedSamples: number;
  /** Why profiles were rejected, for the sender; '' where none were. */
  readonly message: string;
}

/** Throws message_malformed or message_too_large where the whole message is refused. */
export function admit(bytes: Uint8Array): Admission {
  const walked = walkProfiles(bytes);
  if (walked.cuts.length === 0) return { ...sums(walked), forward: walked.samples === 0 ? null : bytes, rejectedProfiles: 0, rejectedSamples: 0, message: '' };
  const message = describe(walked.rejected);
  if (walked.rejected.length > 0 && walked.rejected.length === walked.profiles) throw wholeMessage(message);
  const kept = withoutSpans(bytes, walked.cuts);
  const again = rewalk(kept, walked, message);
  return {
    ...sums(again),
    forward: again.samples === 0 ? null : kept,
    rejectedProfiles: walked.rejected.length,
    rejectedSamples: walked.samples - again.samples,
    message,
  };
}

const sums = ({ resources, profiles, samples }: Walked) => ({ resources, profiles, samples });

/**
 * What is left must read by itself as it read within the whole: a profile that was cut out may have been
 * the one that told the sample layout.
 */
function rewalk(kept: Uint8Array, whole: Walked, message: string): Walked {
  const again = walkProfiles(kept);
  if (again.cuts.length > 0 || (again.samples > 0 && again.layout !== whole.layout)) throw wholeMessage(message);
  return again;
}

const wholeMessage = (message: string): PipelineError => new PipelineError('message_malformed', message);

function describe(rejected: readonly RejectedProfile[]): string {
  if (rejected.length === 0) return '';
  const named = rejected.slice(0, problemsNamedMax).map(({ place, problem }) => `${place}: ${problem}`);
  const rest = rejected.length > named.length ? `; and ${rejected.length - named.length} more` : '';
  return `${rejected.length} profile${rejected.length === 1 ? '' : 's'} rejected: ${named.join('; ')}${rest}`;
}
