//! What can be written on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::device::DeviceOptions;

/// Pinger watches mailboxes for devices, so that they can sleep, and wakes them when mail arrives.
///
/// Exit codes: 0 all went well; 2 wrong usage or configuration; 3 the server could not start; 4 the server refused a
/// device's call; 1 anything else.
#[derive(Debug, Parser)]
#[command(name = "pinger", version, propagate_version = true)]
pub(crate) struct Arguments {
    /// The configuration file, in TOML. docs/configuration.md lists its keys.
    #[arg(long, global = true, env = "PINGER_CONFIG", default_value = "pinger.toml", value_name = "FILE")]
    pub(crate) config: PathBuf,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The roles, and what helps with them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a whole server: the backend in this process, the gateway in a child process that holds no secret.
    Serve(ServeOptions),
    /// Run the gateway alone: the public edge. It calls a backend elsewhere, over mutual TLS.
    Gateway {
        /// Take the configuration from the standard input, as a child of `pinger serve`.
        #[arg(long, hide = true)]
        stdin_config: bool,
    },
    /// Run the backend alone. A gateway elsewhere calls it, over mutual TLS.
    Backend,
    /// Be a device: register a mailbox, defer, stop, look.
    Device(Box<DeviceOptions>),
    /// Look at the server's keys.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// See to who may sign in to the dashboard.
    #[command(subcommand)]
    Staff(StaffCommand),
    /// Look at the audit of what staff did.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Fill the store with made-up sessions of the last two days, so that the dashboard has something to show. Nothing
    /// ever connects for them. Not for a store with real sessions: only the made-up ones that ended are deleted in time.
    Demo(DemoOptions),
}

/// Options of `pinger demo`.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct DemoOptions {
    /// How many.
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) sessions: u64,
    /// What their names and fates are drawn from.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    pub(crate) seed: u64,
}

/// Options of `pinger serve`.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ServeOptions {
    /// When everything is up, print one line of JSON instead of one for people.
    #[arg(long)]
    pub(crate) ready_json: bool,
}

/// Commands on keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Print the identity key, which apps pin, and the ids of the sealing keys. Nothing secret is printed. Keys that
    /// don't exist yet are made.
    Show {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Commands on the configuration.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Read the configuration file, and say whether it is right and for which roles.
    Check,
}

/// Commands on staff. A server may be running on the same store.
#[derive(Debug, Subcommand)]
pub(crate) enum StaffCommand {
    /// Make a link by which somebody may sign up, once, within 24 hours. It is a secret.
    Invite {
        /// What they may do: viewer (look), support (ping, push, trace and revoke too), admin (everything).
        #[arg(long, value_name = "ROLE", value_parser = ["viewer", "support", "admin"])]
        role: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List who may sign in.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a link by which somebody who forgot their password sets a new one, once, within 24 hours. It is a secret. When it
    /// is used, all their sign-ins end.
    Reset {
        /// Their name.
        name: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shut somebody out, and end their sign-ins.
    Disable {
        /// Their name.
        name: String,
    },
}

/// Commands on the audit. A server may be running on the same store.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check the chain of hashes, and say which entry is the first that is not what was written. Exit code 1 if there is
    /// one. What is printed last, kept elsewhere, shows later whether the end was cut off.
    Verify {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}
