//! `fleet init`: writes a `fleet.toml` that explains every setting and sets none.
//!
//! Must not know which settings there are.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use fleet_core::render::sanitized_line;
use fleet_core::settings;
use fleet_tool::cli::Failure;

use crate::cli::InitArgs;

/// The name of a settings file.
const NAME: &str = "fleet.toml";

/// Runs `fleet init` and tells of its failure.
pub(crate) fn run(args: &InitArgs, stdout: &mut dyn Write, stderr: &mut dyn Write) -> ExitCode {
    let done = if args.stdout { print(stdout) } else { create(&args.path, stderr) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print("fleet", stderr);
            ExitCode::from(failure.status().code())
        }
    }
}

fn print(stdout: &mut dyn Write) -> Result<(), Failure> {
    match stdout.write_all(settings::template().as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::ours(&error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn create(path: &Path, stderr: &mut dyn Write) -> Result<(), Failure> {
    let path = if path.is_dir() { path.join(NAME) } else { path.to_owned() };
    let written = File::create_new(&path).and_then(|mut file| file.write_all(settings::template().as_bytes()));
    written.map_err(|source| refused(&path, source))?;
    let shown = sanitized_line(&path.display().to_string());
    let _ = writeln!(stderr, "fleet: wrote {shown}; fleet config shows what is in force");
    Ok(())
}

/// Why a file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
struct WriteError {
    path: PathBuf,
    source: io::Error,
}

fn refused(path: &Path, source: io::Error) -> Failure {
    match source.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::usage_text(format!("{} is there already; it stays as it is", path.display()))
                .hint("fleet init --stdout prints what would be written")
        }
        io::ErrorKind::NotFound => Failure::usage(&WriteError { path: path.to_owned(), source })
            .hint("the folder has to be there: make it with mkdir -p"),
        _ => Failure::ours(&WriteError { path: path.to_owned(), source }),
    }
}
