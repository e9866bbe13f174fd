//! The binary: commands, configuration, composition, shutdown. Nothing else.
//!
//! Each role has one file below `role`, and is given what it may reach and no more.

mod child;
mod cli;
mod clock;
mod config;
mod device;
mod environment;
mod limits;
mod role;
mod stop;
mod telemetry;
mod wall;

use std::alloc::System;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use zeroizing_alloc::ZeroAlloc;

use crate::cli::{Arguments, AuditCommand, Command, ConfigCommand, KeysCommand};
use crate::config::ConfigFile;
use crate::environment::Environment;
use crate::role::RoleError;

/// Memory is wiped as it is freed, so that no freed memory keeps a password: neither ours, nor that of the libraries that
/// a password passes through on its way to a mail server and that know nothing of zeroizing.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    // First of all: two providers end up in the tree, and rustls chooses none by itself.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider was installed before ours");
    }
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            let code = error.exit_code();
            // The chain in one sentence. That stderr is gone is no reason to fail in another way.
            let _ = writeln!(std::io::stderr(), "pinger: {:#}", anyhow::Error::from(error));
            code
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode, RoleError> {
    let environment = Environment::of_this_process();
    let file = || ConfigFile::read(&arguments.config);
    match arguments.command {
        Command::Serve(options) => role::serve::run(&file()?, &environment, options),
        Command::Gateway { stdin_config: true } => role::gateway::run_as_child(&environment),
        Command::Gateway { stdin_config: false } => role::gateway::run(&file()?, &environment),
        Command::Backend => role::backend::run(&file()?, &environment),
        Command::Device(options) => Ok(device::run(*options)),
        Command::Keys(KeysCommand::Show { json }) => role::keys::show(&file()?, &environment, json),
        Command::Config(ConfigCommand::Check) => role::check::run(&file()?, &environment),
        Command::Staff(command) => role::staff::run(&file()?, &environment, command),
        Command::Audit(AuditCommand::Verify { json }) => role::audit::verify(&file()?, &environment, json),
        Command::Demo(options) => role::demo::run(&file()?, &environment, options),
    }
}
