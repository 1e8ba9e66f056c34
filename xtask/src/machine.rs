//! What a measurement was made on: without it a figure says nothing.

use std::fs;
use std::process::Command;

use crate::process;

/// One line that names the day, the commit, the machine and the compiler.
pub(crate) fn describe() -> String {
    let mut commit =
        command_line(Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=10"]));
    if commit.is_empty() {
        commit = "unknown".to_owned();
    }
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{}, commit {commit}; {}, {cores} cores, {} GiB memory, Linux {}; {}",
        command_line(Command::new("date").args(["--utc", "+%Y-%m-%d"])),
        cpu_model(),
        memory_gib(),
        fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        command_line(Command::new("rustc").arg("--version")),
    )
}

fn command_line(command: &mut Command) -> String {
    process::output(command.current_dir(process::workspace_root())).unwrap_or_default()
}

/// The processor's name as Linux tells it; on machines that tell none (some arm64), its architecture.
fn cpu_model() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

fn memory_gib() -> u64 {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    // Rounded to the nearest: the kernel keeps a little for itself.
    let kib = kib.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default();
    (kib + (1 << 19)) >> 20
}
