//! A disk that is full for a while. Root gives the server a small disk of its
//! own; an ordinary user forbids it to write to files.

use rustix::{
    mount::{MountFlags, UnmountFlags, mount, unmount},
    process::{Pid, Resource, Rlimit, getrlimit, prlimit},
};
use std::{
    ffi::CString,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

/// Where a server keeps its data.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: PathBuf,
    is_own: bool,
}

impl Disk {
    /// Of `mebibytes` at `folder`, which is empty, if we may mount one.
    pub(crate) fn new(folder: &Path, mebibytes: usize) -> Self {
        fs::create_dir_all(folder).expect("a folder");
        let size = format!("size={mebibytes}m,mode=777");
        let size = CString::new(size).expect("text");
        let is_own = mount("tmpfs", folder, "tmpfs", MountFlags::empty(), size.as_c_str()).is_ok();
        Self { folder: folder.to_owned(), is_own }
    }

    /// How the shortage is made, for the table.
    pub(crate) fn kind(&self) -> &'static str {
        if self.is_own { "tmpfs" } else { "rlimit" }
    }

    /// Takes all space away from the server that `processes` are.
    pub(crate) fn fill(&self, processes: &[Pid]) {
        if !self.is_own {
            return limit(processes, Some(0));
        }
        let mut ballast = fs::File::create(self.folder.join("ballast")).expect("a file");
        for size in [1 << 20, 1 << 12, 1] {
            while ballast.write_all(&vec![7; size]).is_ok() {}
        }
    }

    /// Gives it back.
    pub(crate) fn free(&self, processes: &[Pid]) {
        if self.is_own {
            fs::remove_file(self.folder.join("ballast")).expect("the ballast");
        } else {
            limit(processes, None);
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_own {
            let _ = unmount(&self.folder, UnmountFlags::DETACH);
        }
    }
}

/// Largest file that `processes` may write, bytes; `None` for what we may ourselves.
fn limit(processes: &[Pid], bytes: Option<u64>) {
    let own = getrlimit(Resource::Fsize);
    let limit = Rlimit { current: bytes.or(own.current), maximum: own.maximum };
    for process in processes {
        // One that has ended in the meantime needs no limit.
        let _ = prlimit(Some(*process), Resource::Fsize, limit);
    }
}

/// A process and what it has started.
pub(crate) fn family(of: Pid) -> Vec<Pid> {
    let parent = format!("PPid:\t{}", of.as_raw_nonzero());
    let is_child = |pid: &Pid| {
        let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()));
        status.is_ok_and(|status| status.lines().any(|line| line == parent))
    };
    let entries = fs::read_dir("/proc").expect("the list of processes").flatten();
    let pids = entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    std::iter::once(of).chain(pids.filter(is_child)).collect()
}
