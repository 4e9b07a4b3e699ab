//! Reads the memory limit of this process from its cgroup.

use std::path::{Path, PathBuf};

/// Mount point of cgroups.
const CGROUP_MOUNT: &str = "/sys/fs/cgroup";
/// Lower bound of the limits that mean "no limit": without a limit, cgroup version 1 reports the
/// largest multiple of the page size.
const UNLIMITED_FROM: u64 = 1 << 60;

/// Returns the smallest limit of this process's cgroup and of those above it. `None` if no file
/// states one.
pub(super) fn cgroup_limit() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    smallest(files(&groups).iter().filter_map(|file| read(file)))
}

fn read(file: &Path) -> Option<u64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn smallest(limits: impl Iterator<Item = u64>) -> Option<u64> {
    limits.filter(|limit| *limit < UNLIMITED_FROM).min()
}

/// Returns the files that may state a limit. `groups` is the content of `/proc/self/cgroup`, whose
/// lines hold a number, controllers and a path. Every part of the path is tried, down to the mount
/// itself: in a container, the mount may already be the container's own cgroup.
fn files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        let (mount, name) = match controllers {
            "" => (PathBuf::from(CGROUP_MOUNT), "memory.max"),
            _ if controllers.split(',').any(|one| one == "memory") => (
                Path::new(CGROUP_MOUNT).join("memory"),
                "memory.limit_in_bytes",
            ),
            _ => continue,
        };
        let inside = Path::new(path.trim_start_matches('/'));
        // The last ancestor is the empty path: the mount itself.
        let folders = inside.ancestors().map(|folder| mount.join(folder));
        files.extend(folders.map(|folder| folder.join(name)));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_looked_for_from_the_process_up_in_both_versions() {
        let names = |groups: &str| -> Vec<String> {
            let files = files(groups).into_iter();
            files.map(|file| file.display().to_string()).collect()
        };
        assert_eq!(
            names("0::/kubepods/pod1\n"),
            [
                "/sys/fs/cgroup/kubepods/pod1/memory.max",
                "/sys/fs/cgroup/kubepods/memory.max",
                "/sys/fs/cgroup/memory.max"
            ]
        );
        assert_eq!(names("0::/\n"), ["/sys/fs/cgroup/memory.max"]);
        assert_eq!(
            names("12:cpu,cpuacct:/x\n9:memory:/docker/a:b\n1:name=systemd:/\n"),
            [
                "/sys/fs/cgroup/memory/docker/a:b/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes"
            ]
        );
        assert_eq!(names("rubbish\n\n"), [""; 0]);
    }

    #[test]
    fn the_smallest_limit_holds_and_the_largest_number_is_none() {
        let unlimited = 9_223_372_036_854_771_712;
        assert_eq!(
            smallest([unlimited, 1 << 30, 1 << 28].into_iter()),
            Some(1 << 28)
        );
        assert_eq!(smallest([unlimited].into_iter()), None);
        assert_eq!(smallest(std::iter::empty()), None);
    }
}
