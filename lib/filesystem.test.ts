import { expect, test } from 'vitest';
import { fileSystemFault, mountTypeOf, requireLocalFileSystem } from './filesystem.ts';

const mountinfo = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:5 / /dev rw - devtmpfs devtmpfs rw
41 22 0:40 / /data rw,nosuid shared:9 - fuse.sshfs host:/ rw,user_id=0
42 41 0:41 / /data/local rw - xfs /dev/vdb rw
43 22 0:42 / /with\\040space\\134back rw - fuse.rclone remote rw
44 22 0:43 / /twice rw - ext4 /dev/vdc rw
45 22 0:44 / /twice rw - fuse.s3fs bucket rw
`;

test.each([
  ['/home/me', 'ext4'],
  ['/data', 'fuse.sshfs'],
  ['/data/x/y', 'fuse.sshfs'],
  ['/data/local/x', 'xfs'],
  ['/database', 'ext4'],
  ['/with space\\back/x', 'fuse.rclone'],
  ['/twice/x', 'fuse.s3fs'],
])('%s lies on %s', (file, type) => expect(mountTypeOf(file, mountinfo)).toBe(type));

test('a mount table without an answer gives none', () => expect(mountTypeOf('/x', '')).toBeUndefined());

test('local file systems are taken', () => {
  for (const directory of ['/', '/dev/shm']) expect(() => requireLocalFileSystem(directory, 'a log')).not.toThrow();
});

test.each([
  ['ext4', { type: 0xef53, bsize: 4096 }, undefined, null],
  ['ZFS', { type: 0x2fc12fc1, bsize: 131_072 }, undefined, null],
  ['NFS', { type: 0x6969, bsize: 1_048_576 }, undefined, 'NFS'],
  ['SMB 2, as a signed number', { type: 0xfe534d42 | 0, bsize: 4096 }, undefined, 'SMB2'],
  ['FUSE on this machine', { type: 0x65735546, bsize: 4096 }, undefined, null],
  ['FUSE over a network', { type: 0x65735546, bsize: 4096 }, 'fuse.sshfs', 'fuse.sshfs'],
  ['ext4 with small blocks', { type: 0xef53, bsize: 1024 }, undefined, 'blocks of 1024 bytes'],
])('%s', (_name, found, fuse, fault) => {
  if (fault === null) expect(fileSystemFault(found, () => fuse)).toBeNull();
  else expect(fileSystemFault(found, () => fuse)).toContain(fault);
});
