//! What the process may use of memory, and how much of it that is.

use std::path::Path;

/// What the process may use when nobody says, bytes: the least of what its control groups and the machine have; 0
/// where the system does not say. Procfs and cgroupfs are no disks: reading them does not block.
pub(crate) fn limit_bytes() -> i64 {
    limit_in(Path::new("/"))
}

/// Resident memory of `limit_bytes`, parts per million; `None` where the system does not say.
pub(crate) fn used_ppm(limit_bytes: i64) -> Option<i64> {
    let used = bytes_of("VmRSS:", &std::fs::read_to_string("/proc/self/status").ok()?)?;
    used.checked_mul(1_000_000)?.checked_div(limit_bytes)
}

/// As [`limit_bytes`], below the folder `root`.
fn limit_in(root: &Path) -> i64 {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).ok();
    let machine = read("proc/meminfo").and_then(|text| bytes_of("MemTotal:", &text));
    let groups = read("proc/self/cgroup").unwrap_or_default();
    let of_groups = groups.lines().flat_map(limit_files).filter_map(|file| {
        let limit: i64 = read(&file)?.trim().parse().ok()?;
        (limit > 0).then_some(limit)
    });
    machine.into_iter().chain(of_groups).min().unwrap_or(0)
}

/// Where the limits stand that hold for the group of a line of `/proc/self/cgroup`: its own and those of every group
/// above it. In a container the path may be that of the host, which is not there; its own group is the topmost then.
fn limit_files(line: &str) -> Vec<String> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { return Vec::new() };
    let (top, file) = match controllers {
        "" => ("sys/fs/cgroup", "memory.max"),
        several if several.split(',').any(|own| own == "memory") => ("sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        _ => return Vec::new(),
    };
    let mut folder = path.trim_matches('/');
    let mut files = Vec::new();
    while !folder.is_empty() {
        files.push(format!("{top}/{folder}/{file}"));
        folder = folder.rsplit_once('/').map_or("", |(above, _)| above);
    }
    files.push(format!("{top}/{file}"));
    files
}

/// The value of a line such as `VmRSS:   1234 kB`, bytes.
fn bytes_of(name: &str, text: &str) -> Option<i64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    let kilobytes: i64 = line.split_whitespace().nth(1)?.parse().ok()?;
    kilobytes.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)], expected: i64) {
        let root = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        assert_eq!(limit_in(root.path()), expected, "{files:?}");
    }

    const MACHINE: (&str, &str) = ("proc/meminfo", "MemTotal:       8000 kB\nMemFree:  1 kB\n");

    #[test]
    fn the_least_of_groups_and_machine_is_the_limit() {
        let whole = 8_000 * 1_024;
        check(&[], 0);
        check(&[MACHINE], whole);
        let group = ("proc/self/cgroup", "0::/system.slice/tragen.service\n");
        check(&[MACHINE, group, ("sys/fs/cgroup/system.slice/tragen.service/memory.max", "max\n")], whole);
        check(&[MACHINE, group, ("sys/fs/cgroup/system.slice/tragen.service/memory.max", "4096\n")], 4_096);
        let above = ("sys/fs/cgroup/system.slice/memory.max", "2048\n");
        check(&[MACHINE, group, above, ("sys/fs/cgroup/system.slice/tragen.service/memory.max", "4096\n")], 2_048);
        // In a container with a namespace of its own.
        check(&[MACHINE, ("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "1024\n")], 1_024);
        check(&[MACHINE, group, ("sys/fs/cgroup/memory.max", "1024\n")], 1_024);
        let old = ("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n");
        check(&[MACHINE, old, ("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "512\n")], 512);
        check(&[MACHINE, old, ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")], whole);
    }

    #[test]
    fn this_process_uses_some_of_this_machine() {
        let limit = limit_bytes();
        assert!(limit > 0, "Linux says");
        let used = used_ppm(limit).expect("Linux says");
        assert!((1..=1_000_000).contains(&used), "{used}");
        assert_eq!(used_ppm(0), None);
    }
}
