// /proc/PID/cgroup: the container that a process lives in, as far as its cgroup path tells. Lines are
// hierarchy:controllers:path. docker, containerd, cri-o and podman put the container's id, 64 lower hex
// digits, into the last part of the path that has one:
//   /docker/<id>   /system.slice/docker-<id>.scope   /kubepods.slice/…/cri-containerd-<id>.scope
//   /kubepods/burstable/pod<uid>/<id>   /machine.slice/libpod-<id>.scope   …/crio-<id>.scope

const containerId = /(?:^|[/:-])([0-9a-f]{64})(?:\.scope)?(?:\/|$)/g;

export function parseContainerId(text: string): string | null {
  for (const line of text.split('\n')) {
    const path = line.split(':').slice(2).join(':');
    // The innermost: a container inside a container is the one that a person looks for.
    const found = [...path.matchAll(containerId)].at(-1);
    if (found && !path.includes(`conmon-${found[1]}`)) return found[1]!;
  }
  return null;
}
