//! The flags about what is shown, and how the run ends.
//!
//! Must not write anything.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::StdinUse;
use crate::outcome::ExitRule;
use crate::render::{self, Color, Layout, Prefix, ProgressLine, RenderSettings};
use crate::settings::Environment;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// Show each host's output as one block when it is done
    #[arg(short = 'i', long)]
    inline: bool,

    /// Show lines as they come, with the host's name: the default, kept for pssh's users
    #[arg(short = 'P', long, conflicts_with = "inline")]
    print: bool,

    /// Leave out the host's name before each line
    #[arg(long)]
    no_prefix: bool,

    /// Print one JSON object for each event
    #[arg(long, conflicts_with_all = ["inline", "no_prefix"])]
    json: bool,

    /// Show no output of the hosts, and a summary only if some host is not fine
    #[arg(short = 'q', long, conflicts_with_all = ["inline", "no_prefix", "json"])]
    quiet: bool,

    /// Write each host's standard output to a file in DIR
    #[arg(short = 'o', long, value_name = "DIR")]
    outdir: Option<PathBuf>,

    /// Write each host's standard error to a file in DIR
    #[arg(short = 'e', long, value_name = "DIR")]
    errdir: Option<PathBuf>,

    /// Return the largest remote exit code
    #[arg(long)]
    exit_max: bool,

    /// Say more about what happens; twice for debugging
    #[arg(short = 'v', long, action = ArgAction::Count)]
    pub(super) verbose: u8,

    /// Print this help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

impl OutputArgs {
    pub(super) fn exit_rule(&self) -> ExitRule {
        if self.exit_max { ExitRule::LargestRemote } else { ExitRule::WorstClass }
    }

    /// How the run is shown.
    pub(super) fn render_settings(
        &self,
        program: &'static str,
        environment: &Environment,
        stdin: StdinUse,
    ) -> RenderSettings {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let prefix = if self.no_prefix { Prefix::None } else { Prefix::Name };
        let layout = match self {
            Self { json: true, .. } => Layout::Json,
            Self { quiet: true, .. } => Layout::Quiet,
            Self { inline: true, .. } => Layout::Blocks,
            _ => Layout::Lines(prefix),
        };
        // Whoever asks for our log gets it line by line; whoever types input needs the line.
        let typed = matches!(stdin, StdinUse::Taken(_)) && io::stdin().is_terminal();
        let dumb = environment.get("TERM").is_some_and(|term| term == "dumb");
        let colorless = dumb || environment.get("NO_COLOR").is_some();
        let hidden = dumb || typed || self.verbose > 0;
        RenderSettings {
            layout,
            stdout_folder: self.outdir.clone(),
            stderr_folder: self.errdir.clone(),
            stdout: render::destination(&stdout),
            stderr: render::destination(&stderr),
            color: if colorless { Color::Never } else { Color::Auto },
            progress: if hidden { ProgressLine::Hidden } else { render::progress_line(&stdout) },
            ..RenderSettings::new(program)
        }
    }
}
