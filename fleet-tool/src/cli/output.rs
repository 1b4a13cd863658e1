//! The flags about what is shown, and how the run ends.
//!
//! Must not write anything.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

use super::{Failure, StdinUse};
use fleet_core::outcome::ExitRule;
use fleet_core::render::{
    self, BlockOrder, Color, Detail, GroupOrder, GroupSettings, Ignored, Layout, Majority, Others, Prefix,
    ProgressLine, RenderSettings, Varying,
};
use fleet_core::settings::Environment;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// Show each host's output as one block when it is done
    #[arg(short = 'i', long)]
    inline: bool,

    /// Show lines as they come, with the host's name: the default, kept for pssh's users
    #[arg(short = 'P', long, conflicts_with = "inline")]
    print: bool,

    /// Show equal answers (output and outcome) once, under the hosts that gave them, at the end
    #[arg(short = 'd', long, conflicts_with_all = ["inline", "print"])]
    dedup: bool,

    /// Count answers as equal that differ only in THINGS, a comma list; repeatable, implies -d
    #[arg(long, value_name = "THINGS", value_enum, value_delimiter = ',', conflicts_with_all = ["inline", "print"])]
    dedup_ignore: Vec<Ignore>,

    /// Show how smaller groups differ from the largest, as unified diffs; implies -d
    #[arg(long, conflicts_with_all = ["inline", "print"])]
    diff: bool,

    /// Leave out the output of the largest group; implies -d
    #[arg(long, conflicts_with_all = ["inline", "print"])]
    only_different: bool,

    /// Sort the groups of -d (by size, if not told otherwise) or the blocks of -i, at the end
    #[arg(long, value_name = "ORDER", value_enum)]
    sort: Option<Sort>,

    /// Leave out the host's name before each line
    #[arg(long)]
    no_prefix: bool,

    /// Print one JSON object for each event
    #[arg(long, conflicts_with_all = ["inline", "no_prefix", "diff", "only_different", "sort"])]
    json: bool,

    /// Show no output of the hosts, and a summary only if some host is not fine
    #[arg(short = 'q', long, conflicts_with_all = ["inline", "no_prefix", "json"])]
    #[arg(conflicts_with_all = ["dedup", "dedup_ignore", "diff", "only_different", "sort"])]
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

/// What may differ between equal answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Ignore {
    /// The host's own name
    Host,
    /// IPv4 and IPv6 addresses
    Ip,
    /// Dates and times of day
    Time,
    /// Process ids, as in sshd[1234] and pid=1234
    Pid,
    /// All other numbers
    Number,
}

/// The order of groups and blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// The largest group first
    Size,
    /// In the order in which the hosts were chosen
    Host,
    /// By exit code and other outcomes
    Code,
}

impl OutputArgs {
    /// Refuses what cannot be done together and is no matter of two flags alone.
    pub(super) fn check(&self) -> Result<(), Failure> {
        match self.sort {
            Some(_) if !self.inline && !self.groups() => {
                Err(Failure::usage_text("--sort needs blocks of output").hint("add -d or -i"))
            }
            Some(Sort::Size) if self.inline => Err(Failure::usage_text("--sort size needs groups of hosts, not -i")
                .hint("use -d, or with -i --sort host or --sort code")),
            _ => Ok(()),
        }
    }

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
            Self { inline: true, .. } => Layout::Blocks(self.block_order()),
            _ if self.groups() => Layout::Groups(self.group_settings()),
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
            json_groups: self.groups().then(|| self.ignored()),
            progress: if hidden { ProgressLine::Hidden } else { render::progress_line(&stdout) },
            detail: if self.verbose > 0 { Detail::Verbose } else { Detail::Normal },
            ..RenderSettings::new(program)
        }
    }

    /// Whether equal answers are to be found.
    fn groups(&self) -> bool {
        self.dedup || self.diff || self.only_different || !self.dedup_ignore.is_empty()
    }

    fn ignored(&self) -> Ignored {
        let varying = |ignore: &Ignore| match ignore {
            Ignore::Host => Varying::Host,
            Ignore::Ip => Varying::Ip,
            Ignore::Time => Varying::Time,
            Ignore::Pid => Varying::Pid,
            Ignore::Number => Varying::Number,
        };
        self.dedup_ignore.iter().map(varying).collect()
    }

    fn group_settings(&self) -> GroupSettings {
        GroupSettings {
            order: match self.sort {
                None | Some(Sort::Size) => GroupOrder::Size,
                Some(Sort::Host) => GroupOrder::Host,
                Some(Sort::Code) => GroupOrder::Code,
            },
            ignored: self.ignored(),
            majority: if self.only_different { Majority::Header } else { Majority::Output },
            others: if self.diff { Others::Difference } else { Others::Output },
        }
    }

    fn block_order(&self) -> BlockOrder {
        match self.sort {
            None | Some(Sort::Size) => BlockOrder::Ended,
            Some(Sort::Host) => BlockOrder::Host,
            Some(Sort::Code) => BlockOrder::Code,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    #[command(disable_help_flag = true)]
    struct Flags {
        #[command(flatten)]
        output: OutputArgs,
    }

    fn flags(words: &str) -> Result<OutputArgs, clap::Error> {
        Flags::try_parse_from(["psh"].into_iter().chain(words.split_whitespace())).map(|flags| flags.output)
    }

    fn shown(words: &str) -> RenderSettings {
        flags(words).unwrap().render_settings("psh", &Environment::default(), StdinUse::Free)
    }

    fn groups(words: &str) -> GroupSettings {
        match shown(words).layout {
            Layout::Groups(groups) => groups,
            other => panic!("{words}: {other:?}"),
        }
    }

    #[test]
    fn whatever_is_about_groups_asks_for_groups() {
        let plain = groups("-d");
        assert_eq!(plain.order, GroupOrder::Size);
        assert!(plain.ignored.is_empty());
        assert_eq!((plain.majority, plain.others), (Majority::Output, Others::Output));
        assert_eq!(groups("--diff").others, Others::Difference);
        assert_eq!(groups("--only-different").majority, Majority::Header);
        assert_eq!(groups("-d --sort host").order, GroupOrder::Host);
        assert_eq!(groups("--diff --sort code").order, GroupOrder::Code);
        let ignored = groups("--dedup-ignore host,time --dedup-ignore pid").ignored;
        let expected = [Varying::Host, Varying::Time, Varying::Pid].into_iter().collect();
        assert_eq!(ignored, expected);
        assert_eq!(shown("-i --sort code").layout, Layout::Blocks(BlockOrder::Code));
    }

    #[test]
    fn objects_may_tell_of_groups_too() {
        assert_eq!(shown("--json").json_groups, None);
        let with_groups = shown("--json --dedup-ignore ip");
        assert_eq!(with_groups.layout, Layout::Json);
        assert_eq!(with_groups.json_groups, Some([Varying::Ip].into_iter().collect()));
    }

    #[test]
    fn an_order_needs_something_to_be_ordered() {
        for words in ["-d --sort size", "-d --sort host", "-i --sort code", "--diff --sort code", "-i", "-d", ""] {
            assert!(flags(words).unwrap().check().is_ok(), "{words}");
        }
        for (words, part) in [("--sort host", "--sort needs"), ("-i --sort size", "--sort size needs groups")] {
            let mut text = Vec::new();
            flags(words).unwrap().check().unwrap_err().print("psh", &mut text);
            assert!(String::from_utf8(text).unwrap().contains(part), "{words}");
        }
    }

    #[test]
    fn layouts_that_exclude_each_other_are_refused() {
        for words in [
            "-d -i",
            "-d -P",
            "-d -q",
            "--diff --json",
            "--only-different --json",
            "--sort host --json",
            "-q --sort host",
        ] {
            assert!(flags(words).is_err(), "{words}");
        }
    }
}
