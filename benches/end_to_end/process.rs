//! Servers as processes of their own, and what the kernel says about them.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// A server that ends with this value.
pub struct Process {
    child: Child,
    /// Where it answers reviews.
    pub address: SocketAddr,
    ca: PathBuf,
    log: PathBuf,
}

impl Process {
    /// The real binary on a fixed state.
    pub fn portcullis(dir: &Path, name: &str, manifests: &Path, core: usize) -> anyhow::Result<Self> {
        let ca = dir.join(format!("{name}.ca.crt"));
        let (address, admin) = (free_address()?, free_address()?);
        let mut command = on_core(core, Path::new(env!("CARGO_BIN_EXE_portcullis")));
        command.arg("serve").arg("--manifests").arg(manifests).arg("--ca-file").arg(&ca);
        command.args(["--listen", &address.to_string(), "--admin-listen", &admin.to_string(), "--log-format", "json"]);
        Self::spawn(command, dir.join(format!("{name}.log")), address, ca)
    }

    /// The yardstick, which is this binary itself.
    pub fn null(dir: &Path, core: usize) -> anyhow::Result<Self> {
        let ca = dir.join("null.ca.crt");
        let (address, admin) = (free_address()?, free_address()?);
        let mut command = on_core(core, &std::env::current_exe()?);
        command.args(["null", &address.to_string(), &admin.to_string()]).arg(&ca);
        Self::spawn(command, dir.join("null.log"), address, ca)
    }

    /// Measures the state in a process of its own, whose memory holds nothing else.
    pub fn run_state(namespaces: usize, kinds: &str) -> anyhow::Result<()> {
        let program = std::env::current_exe()?;
        on_core(super::SERVER_CORE, &program).arg("state").arg(namespaces.to_string()).arg(kinds).status()?;
        Ok(())
    }

    fn spawn(mut command: Command, log: PathBuf, address: SocketAddr, ca: PathBuf) -> anyhow::Result<Self> {
        let out = File::create(&log)?;
        command.stdin(Stdio::null()).stderr(out.try_clone()?).stdout(out).env_remove("RUST_LOG");
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self { child, address, ca, log })
    }

    /// Waits until the server has a certificate, and returns the file with its CA.
    pub fn wait_for_ca(&self, most: Duration) -> anyhow::Result<PathBuf> {
        let end = Instant::now() + most;
        while Instant::now() < end {
            // Written after the port is bound; the last line tells a whole file from one being written.
            if fs::read_to_string(&self.ca).is_ok_and(|pem| pem.trim_end().ends_with("-----END CERTIFICATE-----")) {
                return Ok(self.ca.clone());
            }
            sleep(Duration::from_millis(1));
        }
        bail!("the server did not start: {}", fs::read_to_string(&self.log).unwrap_or_default());
    }

    /// CPU time that it has used, in user space and in the kernel.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name before it is in parentheses and may hold anything; utime and stime are the 12th and 13th after it.
        let (_, after) = stat.rsplit_once(')').context("unknown form of /proc/PID/stat")?;
        let ticks: Vec<u64> = after.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
        // USER_HZ is 100 on every Linux that Rust runs on.
        Ok(Duration::from_millis(ticks.iter().sum::<u64>() * 10))
    }

    /// Waits until the work of the start is done (the background audit judges the whole cluster once), and returns
    /// the CPU time that it took.
    pub fn settle(&self) -> anyhow::Result<Duration> {
        loop {
            let before = self.cpu()?;
            sleep(Duration::from_secs(1));
            let now = self.cpu()?;
            if now.saturating_sub(before) < Duration::from_millis(50) {
                return Ok(now);
            }
        }
    }

    /// Resident memory in MiB.
    pub fn resident(&self) -> anyhow::Result<f64> {
        memory(&self.child.id().to_string(), "VmRSS:")
    }

    /// The highest it has ever been.
    pub fn highest(&self) -> anyhow::Result<f64> {
        memory(&self.child.id().to_string(), "VmHWM:")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line of /proc/PID/status, in MiB.
pub fn memory(process: &str, field: &str) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).context("no such line")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

/// Pins a running process to a core; threads that it starts later follow.
pub fn pin(process: u32, core: usize) -> bool {
    let taskset = Command::new("taskset").args(["-cp", &core.to_string(), &process.to_string()]).output();
    taskset.is_ok_and(|output| output.status.success())
}

fn on_core(core: usize, program: &Path) -> Command {
    if Command::new("taskset").arg("--version").output().is_err() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(program);
    command
}

/// An address on the loopback interface that is free now.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
