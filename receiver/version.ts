// The version header of OTLP profiles: the development signal may change its messages, and says so
// there. Checked before anything is decoded; what is accepted goes on with the message.
import { PipelineError } from '../lib/errors.ts';

/** Absent means 1, the only version there is. */
export function checkVersion(value: string | readonly string[] | undefined): string | null {
  if (value === undefined) return null;
  if (value === '1') return value;
  const found = JSON.stringify(Array.isArray(value) ? value.join(', ') : value).slice(0, 80);
  const why = typeof value === 'string' && /^[1-9][0-9]*$/.test(value) ? 'which is not supported' : 'which is not one positive integer';
  throw new PipelineError('message_version', `otlp-profiles-development-version is ${found}, ${why}; supported version is 1`, {
    context: { place: 'otlp-profiles-development-version', found },
  });
}
