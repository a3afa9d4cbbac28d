// Bearer tokens: a file of them, and whether a request shows one. Several at a time, so that a new one
// can be handed out before the old one ends.
import { createHash, timingSafeEqual } from 'node:crypto';
import { PipelineError } from '../errors.ts';

/** Shorter ones can be guessed; 16 characters of base64 are 96 bits. */
const tokenCharsMin = 16;
const tokenCharsMax = 4096;
/** Each is compared for each request. */
const tokensMax = 100;

/** One token a line; empty lines and those that begin with # are passed over. Messages never quote one. */
export function parseTokens(text: string, file: string): string[] {
  const tokens: string[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const token = line.trim();
    if (token === '' || token.startsWith('#')) continue;
    // As RFC 6750 has it: whatever else would not come through a header as it is.
    if (!/^[A-Za-z0-9._~+/-]+=*$/.test(token))
      throw invalid(`${file}, line ${index + 1}: found a character that a token may not have, expected A-Z a-z 0-9 - . _ ~ + /`);
    if (token.length < tokenCharsMin || token.length > tokenCharsMax)
      throw invalid(
        `${file}, line ${index + 1}: found a token of ${token.length} characters, expected ${tokenCharsMin} to ${tokenCharsMax}, such as openssl rand -hex 32 makes`,
      );
    tokens.push(token);
  }
  if (tokens.length === 0) throw invalid(`${file}: found no token, expected one a line, such as openssl rand -hex 32 makes`);
  if (tokens.length > tokensMax) throw invalid(`${file}: found ${tokens.length} tokens, expected at most ${tokensMax}`);
  return tokens;
}

const invalid = (message: string): PipelineError => new PipelineError('config_invalid', message);

/** Equal length for timingSafeEqual, whatever was sent. */
const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Takes the same time for each wrong token, and for a right one wherever it stands. */
export function isAmong(candidate: string, tokens: readonly string[]): boolean {
  const asked = digest(candidate);
  let found = false;
  for (const token of tokens) found = timingSafeEqual(asked, digest(token)) || found;
  return found;
}

/** The token of `Authorization: Bearer …`; null = there is none. */
export function bearerToken(header: string | undefined): string | null {
  return /^bearer +([^\s]+)$/i.exec(header ?? '')?.[1] ?? null;
}
