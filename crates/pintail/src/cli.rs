//! The command line. Exit codes: 0 done, 1 failed or problems found, 2 wrong usage.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use pintail_engine::parse_age;

use crate::{commands, output};

/// A lakehouse for telemetry that every SQL tool can query.
#[derive(Debug, Parser)]
#[command(name = "pintail", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(Serve),
    /// Run everything on this machine, with generated calls coming in over real sockets.
    Demo(Demo),
    /// Ask a server over Flight SQL.
    Sql(Sql),
    /// Send HEP packets: generated, from captures, or as they stand in files.
    #[command(subcommand)]
    Hep(commands::hep::Hep),
    /// Explain a configuration: what is wrong, what is not served, what holds.
    CheckConfig(CheckConfig),
    /// Make a line of identity.users_file; the password is read from standard input.
    HashPassword(HashPassword),
    /// Look at a lake on disk and keep it in shape, with or without a running server.
    #[command(subcommand)]
    Lake(Lake),
}

/// `pintail serve`
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The configuration, JSON or TOML; else the first of pintail.json, pintail.toml, homer.json here,
    /// below /etc/pintail or /etc/homer
    #[arg(long, short, env = "PINTAIL_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Write the addresses of all listeners to this file once everything listens
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,
}

/// `pintail demo`
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Keep the data here; else in a temporary directory that is removed at the end
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Packets a second
    #[arg(long, default_value_t = 200, value_name = "PACKETS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate: u32,
    /// End after this many seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) duration: Option<u64>,
    /// Take free ports instead of the usual ones
    #[arg(long)]
    pub(crate) ephemeral: bool,
    /// The same calls for the same number
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Write the addresses of all listeners to this file once everything listens
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,
}

/// `pintail sql`
#[derive(Debug, Args)]
pub(crate) struct Sql {
    /// The server: grpc://HOST:PORT, or grpc+tls://HOST:PORT for TLS
    #[arg(long, env = "PINTAIL_URL", default_value = "grpc://127.0.0.1:50055")]
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) access: ServerAccess,
    /// A statement; may be given several times
    #[arg(short = 'e', long = "execute", required = true, value_name = "SQL")]
    pub(crate) execute: Vec<String>,
    /// How results are written
    #[arg(long, short, value_enum, default_value_t = OutputForm::Table)]
    pub(crate) output: OutputForm,
}

/// Who asks a server, and how the two trust each other.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerAccess {
    /// The bearer token
    #[arg(long, env = "PINTAIL_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Log in as this user; counts before a token
    #[arg(long, env = "PINTAIL_USER")]
    pub(crate) user: Option<String>,
    /// The user's password; better in the environment, where other users of the machine do not see it
    #[arg(long, env = "PINTAIL_PASSWORD", hide_env_values = true, requires = "user")]
    pub(crate) password: Option<String>,
    /// Trust these authorities (PEM) instead of the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Show this certificate (PEM) to a server that asks for one
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    /// The certificate's private key (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
}

/// How `pintail sql` writes a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputForm {
    /// Columns for people
    Table,
    /// RFC 4180 with a header
    Csv,
    /// One JSON array of objects
    Json,
}

/// `pintail check-config`
#[derive(Debug, Args)]
pub(crate) struct CheckConfig {
    /// The configuration; else the file that `serve` would take
    pub(crate) file: Option<PathBuf>,
    /// Write JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `pintail hash-password`
#[derive(Debug, Args)]
pub(crate) struct HashPassword {
    /// The user's name
    pub(crate) name: String,
    /// The user's groups
    #[arg(long, value_name = "GROUP,GROUP", default_value = "")]
    pub(crate) groups: String,
}

/// `pintail lake`
#[derive(Debug, Subcommand)]
pub(crate) enum Lake {
    /// Tables, files, rows and bytes
    Info(LakePlace),
    /// Every commit
    Snapshots(LakePlace),
    /// Check the catalog, its files and the journal; only reads unless it is to repair
    Fsck {
        #[command(flatten)]
        lake: MaintainedLake,
        /// Mend what can be mended of the catalog, after a copy of it was made
        #[arg(long)]
        repair: bool,
    },
    /// Merge small files, and leave deleted rows out of them
    Compact {
        #[command(flatten)]
        lake: MaintainedLake,
        /// Only this table: its name in schema main, or SCHEMA.TABLE
        #[arg(long)]
        table: Option<String>,
        /// Only this volume
        #[arg(long)]
        volume: Option<String>,
    },
    /// Take old snapshots out of the catalog
    Expire {
        #[command(flatten)]
        lake: MaintainedLake,
        /// How old, such as '7 days'; else as configured
        #[arg(long, value_name = "AGE", value_parser = age)]
        older_than: Option<String>,
    },
    /// Delete files that no snapshot needs, and files that the catalog does not know
    Cleanup {
        #[command(flatten)]
        lake: MaintainedLake,
        /// For how long already, such as '1 hour'; else the configured grace
        #[arg(long, value_name = "AGE", value_parser = age)]
        older_than: Option<String>,
    },
    /// Remove rows that are older than they are to be kept
    Retention {
        #[command(flatten)]
        lake: MaintainedLake,
    },
    /// Move one day of a table from one volume to another, also to a hotter one
    Move {
        #[command(flatten)]
        lake: MaintainedLake,
        /// The table's name in schema main, or SCHEMA.TABLE
        #[arg(long)]
        table: String,
        /// The day, such as 2026-11-20
        #[arg(long)]
        date: String,
        /// The volume that has the rows
        #[arg(long, value_name = "VOLUME")]
        from: String,
        /// The volume that is to have them
        #[arg(long, value_name = "VOLUME")]
        to: String,
    },
    /// Move what the storage policy says from one volume to another
    ApplyStoragePolicy {
        #[command(flatten)]
        lake: MaintainedLake,
        /// Only tell what would be moved
        #[arg(long)]
        dry_run: bool,
    },
    /// Flush, retention, merging, expiry and cleanup, one after the other
    Vacuum {
        #[command(flatten)]
        lake: MaintainedLake,
        /// How old snapshots expire and their files are deleted, such as '7 days'; else as configured
        #[arg(long, value_name = "AGE", value_parser = age)]
        expire_older_than: Option<String>,
    },
}

/// A lake that is changed: through its server if one runs, else by this process.
#[derive(Debug, Args)]
pub(crate) struct MaintainedLake {
    #[command(flatten)]
    pub(crate) place: LakePlace,
    /// The running server; else the address in the configuration
    #[arg(long, env = "PINTAIL_URL")]
    pub(crate) url: Option<String>,
    #[command(flatten)]
    pub(crate) access: ServerAccess,
}

/// Which lake, and how to speak of it.
#[derive(Debug, Args)]
pub(crate) struct LakePlace {
    /// The server's configuration
    #[arg(long, short, env = "PINTAIL_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Write JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A length of time, kept as it was written: a server is told so.
fn age(text: &str) -> Result<String, String> {
    parse_age("AGE", text).map(|_| text.to_owned()).map_err(|error| error.message().to_owned())
}

/// Does what the command line says.
pub(crate) fn run() -> ExitCode {
    // clap ends the process itself: 0 for help and version, 2 for wrong usage.
    let done = match Cli::parse().command {
        Command::Serve(arguments) => commands::serve::run(&arguments),
        Command::Demo(arguments) => commands::demo::run(&arguments),
        Command::Sql(arguments) => commands::sql::run(&arguments),
        Command::Hep(command) => commands::hep::run(command),
        Command::CheckConfig(arguments) => commands::check_config::run(&arguments),
        Command::HashPassword(arguments) => commands::hash_password::run(&arguments),
        Command::Lake(command) => commands::lake::run(&command),
    };
    match done {
        Ok(code) => code,
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pintail: {error}");
            let mut source = std::error::Error::source(&error);
            while let Some(inner) = source {
                let text = inner.to_string();
                // Many errors repeat their source in their own message.
                if !error.to_string().contains(&text) {
                    eprintln!("  because: {text}");
                }
                source = inner.source();
            }
            ExitCode::from(1)
        }
    }
}
