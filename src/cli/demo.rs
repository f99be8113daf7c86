//! `portcullis demo`: the main job without a cluster.

use std::io::Write;

use super::Exit;

/// Show what Portcullis does, without a cluster.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub(super) fn run(_args: &Args, out: &mut impl Write) -> anyhow::Result<Exit> {
    writeln!(out, "demo")?;
    Ok(Exit::Clean)
}
