//! Flags of pssh that have another name here. They are accepted only to say so.
//!
//! Must not do anything for them.

use clap::Args;

use super::Failure;

#[derive(Args, Clone, Debug)]
// The last of the shared flags: what a tool adds behind them has no heading unless it says so.
#[command(next_help_heading = None::<&'static str>)]
pub(super) struct RefusedArgs {
    #[arg(short = 'X', long = "extra-arg", visible_alias = "extra-args", hide = true, allow_hyphen_values = true)]
    extra_arg: Option<String>,
    #[arg(long, hide = true)]
    inline_stdout: bool,
    #[arg(long, hide = true)]
    fileappend: bool,
    #[arg(long, hide = true)]
    no_headers: bool,
}

impl RefusedArgs {
    pub(super) fn check(&self) -> Result<(), Failure> {
        let Self { extra_arg, inline_stdout, fileappend, no_headers } = self;
        let refused = [
            (
                extra_arg.is_some(),
                "-X",
                "there is no ssh process to give arguments to: set an option with -O Key=Value",
            ),
            (*inline_stdout, "--inline-stdout", "use -i; standard error goes to standard error: 2>/dev/null hides it"),
            (*fileappend, "--fileappend", "files are written anew for each run: give -o another folder"),
            (*no_headers, "--no-headers", "use --no-prefix"),
        ];
        match refused.into_iter().find(|(given, ..)| *given) {
            Some((_, flag, hint)) => {
                Err(Failure::usage_text(format!("{flag} is pssh's and not known here")).hint(hint))
            }
            None => Ok(()),
        }
    }
}
