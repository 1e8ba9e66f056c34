//! The test's side of the disk that fails (`shim.c`), and of what a power cut leaves of it.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = "PINTAIL_FAULT_ROOT";
const SHADOW: &str = "PINTAIL_FAULT_SHADOW";

/// How the disk fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// One call fails.
    Once,
    /// A call and all after it fail.
    From,
    /// The same, and what was not synced before is gone.
    Cut,
}

impl Fault {
    const fn command(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::From => "from",
            Self::Cut => "cut",
        }
    }
}

/// A directory on a disk that fails when it is told to.
#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
}

impl Disk {
    /// The disk of this process. In a process without one, the test `name` is run in another process that has one, and
    /// there is none here.
    pub(crate) fn of_test(name: &str) -> Option<Self> {
        if let Some(root) = std::env::var_os(ROOT) {
            return Some(Self { root: root.into() });
        }
        let place = tempfile::tempdir().unwrap();
        let shim = place.path().join("shim.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/shim.c");
        let built = Command::new("cc")
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .arg(&shim)
            .arg(source)
            .arg("-ldl")
            .status();
        match built {
            Ok(status) => assert!(status.success(), "shim.c does not compile"),
            Err(error) => {
                println!("skipped: no C compiler: {error}");
                return None;
            }
        }
        let (root, shadow) = (place.path().join("disk"), place.path().join("shadow"));
        for directory in [&root, &shadow] {
            fs::create_dir(directory).unwrap();
        }
        let test = std::env::current_exe().unwrap();
        let status = Command::new(test)
            .args(["--exact", name, "--nocapture"])
            .env("LD_PRELOAD", &shim)
            .env(ROOT, &root)
            .env(SHADOW, &shadow)
            .status();
        assert!(status.unwrap().success(), "{name} failed on the disk that fails");
        None
    }

    /// An empty directory, which is durable.
    pub(crate) fn directory(&self) -> tempfile::TempDir {
        let shadow = PathBuf::from(std::env::var_os(SHADOW).unwrap());
        fs::remove_dir_all(&shadow).unwrap();
        fs::create_dir(&shadow).unwrap();
        tempfile::tempdir_in(&self.root).unwrap()
    }

    /// Lets the call of this number, from now on, fail.
    #[allow(clippy::unused_self, reason = "only who has the disk can break it")]
    pub(crate) fn fail(&self, fault: Fault, call: u64) {
        let _ = fs::File::open(format!("/pintail-faults/{}/{call}", fault.command())).unwrap_err();
    }

    /// Ends it; whether anything failed.
    #[allow(clippy::unused_self, reason = "as above")]
    pub(crate) fn heal(&self) -> bool {
        let told = fs::File::open("/pintail-faults/off").unwrap_err();
        told.kind() == std::io::ErrorKind::NotFound
    }

    /// A directory with what a power cut left of another one.
    pub(crate) fn lose_power(&self, directory: &Path) -> tempfile::TempDir {
        let shadow = PathBuf::from(std::env::var_os(SHADOW).unwrap());
        let inode = fs::metadata(directory).unwrap().ino();
        let mut kinds = HashMap::new();
        note_kinds(directory, &mut kinds);
        let left = tempfile::tempdir_in(&self.root).unwrap();
        restore(&shadow, inode, left.path(), &kinds);
        left
    }
}

/// Which inodes are directories: nothing of ours ever removes one. Files may go meanwhile, because a reader of the catalog
/// that is closed last puts its log away.
fn note_kinds(directory: &Path, kinds: &mut HashMap<u64, bool>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        kinds.insert(metadata.ino(), metadata.is_dir());
        if metadata.is_dir() {
            note_kinds(&path, kinds);
        }
    }
}

fn restore(shadow: &Path, directory: u64, into: &Path, kinds: &HashMap<u64, bool>) {
    let names = fs::read_to_string(shadow.join(format!("d{directory}"))).unwrap_or_default();
    for line in names.lines() {
        let (inode, name) = line.split_once(' ').unwrap();
        let path = into.join(name);
        let inode = inode.parse().unwrap();
        if kinds.get(&inode).copied().unwrap_or(false) {
            fs::create_dir(&path).unwrap();
            restore(shadow, inode, &path, kinds);
        } else {
            // A file that was named and never synced is there, and empty.
            fs::write(&path, fs::read(shadow.join(format!("i{inode}"))).unwrap_or_default()).unwrap();
        }
    }
}
