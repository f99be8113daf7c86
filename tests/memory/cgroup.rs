//! A memory cgroup of version 1 or 2, with a limit, for one process.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Ends with this value.
pub struct Cgroup {
    dir: PathBuf,
    /// The files of this version.
    limit: &'static str,
    highest: &'static str,
    events: &'static str,
}

impl Cgroup {
    /// A group with this limit in bytes.
    pub fn make(name: &str, limit: u64) -> io::Result<Self> {
        let name = format!("portcullis-test-{name}-{}", std::process::id());
        let v1 = Path::new("/sys/fs/cgroup/memory");
        let group = if v1.join("memory.limit_in_bytes").exists() || v1.join("cgroup.procs").exists() {
            Self {
                dir: v1.join(name),
                limit: "memory.limit_in_bytes",
                highest: "memory.max_usage_in_bytes",
                events: "memory.oom_control",
            }
        } else {
            let root = Path::new("/sys/fs/cgroup");
            // Children have the controller only where the parent hands it on.
            fs::write(root.join("cgroup.subtree_control"), "+memory")?;
            Self { dir: root.join(name), limit: "memory.max", highest: "memory.peak", events: "memory.events" }
        };
        fs::create_dir(&group.dir)?;
        group.limit(limit)?;
        // With swap a process outlives its limit for a while; not every kernel counts it.
        let _ = fs::write(group.dir.join("memory.swap.max"), "0");
        let _ = fs::write(group.dir.join("memory.memsw.limit_in_bytes"), limit.to_string());
        Ok(group)
    }

    /// Sets the limit.
    pub fn limit(&self, bytes: u64) -> io::Result<()> {
        fs::write(self.dir.join(self.limit), bytes.to_string())
    }

    /// A command that runs in the group from its first instruction.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("sh");
        let procs = self.dir.join("cgroup.procs");
        command.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(procs).arg(program);
        command
    }

    /// The most memory that the group ever had.
    pub fn highest(&self) -> u64 {
        let text = fs::read_to_string(self.dir.join(self.highest)).unwrap_or_default();
        text.trim().parse().unwrap_or_default()
    }

    /// Processes of the group that the kernel killed for want of memory.
    pub fn kills(&self) -> u64 {
        let text = fs::read_to_string(self.dir.join(self.events)).unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or_default()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // It is empty once the process has ended, which takes a moment.
        for _ in 0..50 {
            if fs::remove_dir(&self.dir).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}
