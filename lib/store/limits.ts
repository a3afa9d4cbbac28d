// Every cap of lib/store, with its reason.

/** S3's own bound, so that a key which works on a directory works there. */
export const keyBytesMax = 1024;
/** NAME_MAX of Linux file systems. */
export const keyPartBytesMax = 255;

export const listLimitDefault = 1000;
/** One answer of list; S3 pages at 1000, a directory can give more. */
export const listLimitMax = 100_000;
/** File sizes asked for at once while listing. */
export const statsAtOnce = 32;

/** What a dead process left in tmp/ goes after this long; a put takes seconds. */
export const tmpAgeMillisMax = 60 * 60 * 1000;

/** Objects up to this size carry a hash of their bytes in their tag (a millisecond to read and hash). */
export const hashedTagBytesMax = 1024 * 1024;

/** Folders known to be on disk; beyond it they are simply synced once more. */
export const durableFoldersMax = 10_000;

/** A put tries again when a delete took its folder away meanwhile; more than once in a row is unheard of. */
export const folderAttemptsMax = 5;
