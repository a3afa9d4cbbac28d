// Which file systems can carry files that several processes map and lock: local ones with whole pages.
import { readFileSync, realpathSync, statfsSync } from 'node:fs';
import path from 'node:path';
import { PipelineError } from './errors.ts';

/** statfs(2) magic numbers of file systems whose files live on another machine. */
const networkMagic = new Map<number, string>([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB2'],
  [0x01021997, '9p'],
  [0x00c36400, 'Ceph'],
  [0x5346414f, 'AFS'],
  [0x6b414653, 'AFS'],
  [0x73757245, 'Coda'],
  [0x564c, 'NCP'],
  [0x0bd00bd0, 'Lustre'],
  [0x47504653, 'GPFS'],
  [0x01161970, 'GFS2'],
  [0x7461636f, 'OCFS2'],
  [0x19830326, 'BeeGFS'],
  [0x786f4256, 'VirtualBox shared folder'],
]);
const fuseMagic = 0x65735546;
/** FUSE carries local file systems too (fuse-overlayfs, ntfs-3g); these are known not to be. */
const networkFuse =
  /^fuse\.(sshfs|s3fs|s3ql|gcsfuse|goofys|rclone|glusterfs|ceph|ceph-fuse|juicefs|davfs|curlftpfs|blobfuse2?|mount-s3|lustre|moosefs|seaweedfs)$/;

/**
 * SQLite's -shm file is mapped, and made longer by one byte a 4 KiB page. With smaller blocks the rest
 * of a page gets its room when it is first written: on a disk that is full by then, the kernel answers
 * that with SIGBUS.
 */
const blockBytesMin = 4096;

/** Room for an unprivileged user on the disk of `directory`; a system call of a microsecond. */
export function freeBytes(directory: string): number {
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
}

/** Throws log_unavailable where `directory` (which exists) lies on a file system that can't carry such files. */
export function requireLocalFileSystem(directory: string, what: string): void {
  const found = statfsSync(directory);
  const wrong = fileSystemFault(found, () => networkFuseOf(directory));
  if (wrong !== null)
    throw new PipelineError('log_unavailable', `${directory}: lies on ${wrong}, where ${what} can't be kept safe; put it on a local disk (ext4, xfs, btrfs)`);
}

/** What is wrong with a file system (as statfs describes it), or null. */
export function fileSystemFault(found: { type: number; bsize: number }, networkFuse: () => string | undefined): string | null {
  const magic = found.type >>> 0;
  const network = networkMagic.get(magic) ?? (magic === fuseMagic ? networkFuse() : undefined);
  if (network !== undefined) return `a network file system (${network})`;
  return found.bsize < blockBytesMin
    ? `a file system with blocks of ${found.bsize} bytes (at least ${blockBytesMin} are needed, as by mkfs.ext4 -b 4096)`
    : null;
}

function networkFuseOf(directory: string): string | undefined {
  const type = mountTypeOf(realpathSync(directory), readFileSync('/proc/self/mountinfo', 'utf8'));
  return type !== undefined && networkFuse.test(type) ? type : undefined;
}

/** Type of the mount that `file` lies on: the longest mount point above it, the last one where two are equal. */
export function mountTypeOf(file: string, mountinfo: string): string | undefined {
  let best: { point: string; type: string } | undefined;
  for (const line of mountinfo.split('\n')) {
    const [left, right] = line.split(' - ');
    const point = unescapeOctal(left?.split(' ')[4] ?? '');
    const type = right?.split(' ')[0];
    if (type === undefined || !isInside(file, point)) continue;
    if (best === undefined || point.length >= best.point.length) best = { point, type };
  }
  return best?.type;
}

function isInside(file: string, folder: string): boolean {
  return file === folder || file.startsWith(folder.endsWith(path.sep) ? folder : folder + path.sep);
}

/** mountinfo writes space, tab, newline and backslash as \040 and so on. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_whole, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
