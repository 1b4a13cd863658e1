//! The end of a run in words: counts by outcome, and the hosts that are not fine by reason.
//!
//! Text only. Must not know where it is written, and stays linear in the number of hosts whatever their names.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::time::Duration;

use super::paint::{Paint, Style};
use super::sanitize::sanitized_line;
use super::settings::HostLabel;
use super::{Completion, Ending};
use crate::event::HostIndex;
use crate::hostset;
use crate::outcome::{Outcome, Report, Stop};

/// How many reasons are shown on a terminal.
const MAX_REASONS: usize = 12;
/// How many lines of a terminal a list of hosts may take.
pub(super) const MAX_LIST_LINES: usize = 3;
/// How far hints and long lists are set in.
const DETAIL_INDENT: usize = 6;

/// All that the summary is made of.
pub(super) struct Summary<'a> {
    pub(super) hosts: &'a [HostLabel],
    pub(super) report: &'a Report,
    pub(super) ending: &'a Ending,
    pub(super) remarks: Remarks,
    /// What the work came to, where hosts have said it.
    pub(super) results: &'a HashMap<HostIndex, String>,
    /// The width of the terminal, for which long lists are shortened.
    pub(super) columns: Option<usize>,
    pub(super) paint: Paint,
}

/// What was not shown or kept as it should.
#[derive(Debug, Default)]
pub(super) struct Remarks {
    /// The hosts whose output files are incomplete, by reason.
    pub(super) incomplete_files: BTreeMap<String, Vec<HostIndex>>,
    /// The hosts with lines that were too long to be shown whole.
    pub(super) cut_lines: Vec<HostIndex>,
}

/// Hosts with the same fate.
struct Group {
    part: Part,
    hosts: Vec<HostIndex>,
    reason: String,
    hint: Option<String>,
}

/// The parts of the summary, in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Fine,
    Failed,
    MayStillRun,
    NotStarted,
}

impl Summary<'_> {
    /// Whether there is nothing to say but that.
    pub(super) fn is_all_fine(&self) -> bool {
        self.report.outcomes().iter().all(Outcome::is_success)
            && self.ending.completion == Completion::Complete
            && self.remarks.incomplete_files.is_empty()
            && self.remarks.cut_lines.is_empty()
    }

    /// The whole summary, each line with its newline.
    pub(super) fn text(&self) -> String {
        let mut text = self.head();
        let groups = self.groups();
        let shown = if self.columns.is_some() { groups.len().min(MAX_REASONS) } else { groups.len() };
        let mut hinted: Vec<&str> = Vec::new();
        for group in &groups[..shown] {
            let hint = group.hint.as_deref().filter(|hint| !hinted.contains(hint));
            hinted.extend(hint);
            self.push_group(&mut text, group, hint);
        }
        if shown < groups.len() {
            let hidden: usize = groups[shown..].iter().map(|group| group.hosts.len()).sum();
            push(&mut text, format_args!("  and {} more hosts for {} more reasons\n", hidden, groups.len() - shown));
            push(&mut text, format_args!("      hint: 2> FILE and --json have them all\n"));
        }
        self.push_remarks(&mut text);
        text
    }

    /// `20 hosts: 18 ok, 2 failed in 1.2s`
    fn head(&self) -> String {
        let counts: Vec<String> = counts(self.report)
            .into_iter()
            .map(|(name, count)| {
                let style = if name == Outcome::Exited(0).name() { Style::GREEN } else { Style::RED };
                self.paint.text(style, &format!("{count} {name}"))
            })
            .collect();
        let hosts = match self.hosts.len() {
            1 => "1 host".to_owned(),
            count => format!("{count} hosts"),
        };
        let elapsed = elapsed(self.ending.elapsed);
        let how = match self.ending.completion {
            Completion::Complete => format!(" in {elapsed}"),
            Completion::Interrupted => format!("; interrupted after {elapsed}"),
            Completion::Abandoned => format!("; left after {elapsed} without waiting"),
        };
        format!("{hosts}: {}{how}\n", counts.join(", "))
    }

    /// The hosts by fate: failures first, the most frequent in front.
    fn groups(&self) -> Vec<Group> {
        let mut groups: BTreeMap<(Part, String), Group> = BTreeMap::new();
        for (index, outcome) in self.report.outcomes().iter().enumerate() {
            let part = Part::of(outcome);
            let attempts = self.report.attempts(index);
            let result = self.results.get(&index);
            if part == Part::Fine && self.ending.completion == Completion::Complete && attempts < 2 && result.is_none()
            {
                continue;
            }
            let mut reason = match (outcome.reason(), result) {
                (Some(reason), Some(result)) => format!("{reason} ({result})"),
                (Some(reason), None) => reason,
                (None, Some(result)) => result.clone(),
                (None, None) => outcome.name().to_owned(),
            };
            if attempts > 1 {
                push(&mut reason, format_args!(" ({attempts} attempts)"));
            }
            let group = groups.entry((part, reason)).or_insert_with_key(|(_, reason)| Group {
                part,
                hosts: Vec::new(),
                reason: sanitized_line(reason),
                hint: outcome.hint(),
            });
            group.hosts.push(index);
        }
        let mut groups: Vec<Group> = groups.into_values().collect();
        groups.sort_by_key(|group| (group.part, usize::MAX - group.hosts.len(), group.hosts[0]));
        groups
    }

    fn push_group(&self, text: &mut String, group: &Group, hint: Option<&str>) {
        let count = group.hosts.len();
        let names = self.names(group);
        let style = match group.part {
            Part::Fine => Style::GREEN,
            Part::NotStarted => Style::YELLOW,
            Part::Failed | Part::MayStillRun => Style::RED,
        };
        let reason = self.paint.text(style, &group.reason);
        let chars = names.chars().count();
        let is_long = |columns: usize| chars > columns / 2 && chars + group.reason.chars().count() + 12 > columns;
        if self.columns.is_some_and(is_long) {
            let names = self.paint.text(Style::BOLD, &self.wrap(&names, ',', DETAIL_INDENT));
            push(text, format_args!("  {count} hosts: {reason}\n{:DETAIL_INDENT$}{names}\n", ""));
        } else {
            let names = self.paint.text(Style::BOLD, &names);
            push(text, format_args!("  {names} ({count}): {reason}\n"));
        }
        if let Some(hint) = hint {
            let hint = format!("hint: {}", sanitized_line(hint));
            let hint = self.paint.text(Style::DIM, &self.wrap(&hint, ' ', DETAIL_INDENT));
            push(text, format_args!("{:DETAIL_INDENT$}{hint}\n", ""));
        }
    }

    fn push_remarks(&self, text: &mut String) {
        for (reason, hosts) in &self.remarks.incomplete_files {
            let (names, reason) = (self.limited_names(hosts), sanitized_line(reason));
            push(text, format_args!("  incomplete output files: {names} ({}): {reason}\n", hosts.len()));
        }
        if !self.remarks.cut_lines.is_empty() {
            let names = self.limited_names(&self.remarks.cut_lines);
            push(text, format_args!("  lines too long to be shown whole were shown in pieces: {names}\n"));
        }
    }

    /// The names of a group; all of them where a command may still run, as these need care.
    fn names(&self, group: &Group) -> String {
        match group.part {
            Part::MayStillRun => hostset::fold(&self.name_list(&group.hosts)),
            _ => self.limited_names(&group.hosts),
        }
    }

    fn limited_names(&self, hosts: &[HostIndex]) -> String {
        let names = self.name_list(hosts);
        match self.columns {
            Some(columns) => hostset::fold_limited(&names, (columns - DETAIL_INDENT) * MAX_LIST_LINES),
            None => hostset::fold(&names),
        }
    }

    fn name_list(&self, hosts: &[HostIndex]) -> Vec<&str> {
        hosts.iter().map(|index| self.hosts[*index].name.as_str()).collect()
    }

    /// Breaks `text`, which starts in column `indent`, into lines after `separator`; in a pipe it stays one line.
    fn wrap(&self, text: &str, separator: char, indent: usize) -> String {
        let Some(columns) = self.columns else { return text.to_owned() };
        let mut wrapped = String::new();
        let mut column = indent;
        for piece in text.split_inclusive(separator) {
            let chars = piece.chars().count();
            if column > indent && column + piece.trim_end().chars().count() > columns {
                wrapped.truncate(wrapped.trim_end().len());
                push(&mut wrapped, format_args!("\n{:indent$}", ""));
                column = indent;
            }
            wrapped.push_str(piece);
            column += chars;
        }
        wrapped
    }
}

impl Part {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Exited(0) => Self::Fine,
            Outcome::Stopped { stop: Stop::Unconfirmed(_), .. } => Self::MayStillRun,
            Outcome::Skipped(_) => Self::NotStarted,
            _ => Self::Failed,
        }
    }
}

/// How many hosts ended how: the fine ones first, then the most frequent.
pub(super) fn counts(report: &Report) -> Vec<(&'static str, usize)> {
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    for outcome in report.outcomes() {
        *counts.entry(outcome.name()).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(name, count)| (*name != Outcome::Exited(0).name(), usize::MAX - count));
    counts
}

pub(super) fn elapsed(elapsed: Duration) -> String {
    match elapsed.as_secs() {
        0..60 => format!("{:.1}s", elapsed.as_secs_f64()),
        secs => humantime::format_duration(Duration::from_secs(secs)).to_string(),
    }
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a `String` cannot fail.
    let _ = text.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::super::testing::{labels, outcome_refused};
    use super::*;
    use crate::outcome::{ExitRule, FailureClass, HostError, LastOutput, SkipCause, Stage, StopCause};

    /// Outcomes with the number of hosts, in the order of the hosts `web01`, `web02`, ...
    fn summary(fates: &[(usize, Outcome)], completion: Completion, columns: Option<usize>) -> String {
        let outcomes: Vec<Outcome> =
            fates.iter().flat_map(|(count, outcome)| std::iter::repeat_n(outcome.clone(), *count)).collect();
        let names: Vec<String> = (1..=outcomes.len()).map(|number| format!("web{number:02}")).collect();
        text(&names, outcomes, completion, columns)
    }

    fn text(names: &[String], outcomes: Vec<Outcome>, completion: Completion, columns: Option<usize>) -> String {
        let report = Report::new(outcomes);
        let ending = Ending {
            elapsed: Duration::from_millis(1234),
            status: report.exit_status(ExitRule::WorstClass),
            completion,
        };
        let hosts = labels(names.iter().map(String::as_str));
        let remarks = Remarks::default();
        let results = &HashMap::new();
        Summary { hosts: &hosts, report: &report, ending: &ending, remarks, results, columns, paint: Paint::Off }.text()
    }

    fn stopped(stop: Stop) -> Outcome {
        Outcome::Stopped { cause: StopCause::Cancelled, stop, output: LastOutput::Complete }
    }

    #[test]
    fn one_line_when_all_is_fine() {
        insta::assert_snapshot!(summary(&[(20, Outcome::Exited(0))], Completion::Complete, None), @"20 hosts: 20 ok in 1.2s");
        insta::assert_snapshot!(summary(&[(1, Outcome::Exited(0))], Completion::Complete, None), @"1 host: 1 ok in 1.2s");
    }

    #[test]
    fn failed_hosts_are_folded_by_reason_the_most_frequent_first() {
        let timeout = Outcome::Failed(HostError::timeout(Stage::Banner, Duration::from_secs(10)));
        let fates = [
            (2, Outcome::Exited(0)),
            (1, Outcome::Exited(2)),
            (7, outcome_refused()),
            (2, timeout),
            (1, Outcome::Exited(1)),
            (3, Outcome::Skipped(SkipCause::Interrupted)),
        ];
        insta::assert_snapshot!(summary(&fates, Completion::Complete, None), @r"
        16 hosts: 2 ok, 9 unreachable, 3 skipped, 2 failed in 1.2s
          web[04-10] (7): connect: connection refused
              hint: check that sshd runs there and listens on this port
          web[11-12] (2): banner: timed out after 10s
              hint: the port is open but silent: the host is overloaded, or something else than sshd listens there
          web03 (1): exit code 2
              hint: the command itself failed: its output says why
          web13 (1): exit code 1
          web[14-16] (3): not started: the run was interrupted
              hint: --resume last goes on with these hosts
        ");
    }

    #[test]
    fn an_interrupted_run_names_who_finished_who_was_stopped_and_who_may_still_run() {
        let fates = [
            (2, Outcome::Exited(0)),
            (2, stopped(Stop::Confirmed)),
            (5, stopped(Stop::Unconfirmed("no answer".into()))),
            (3, Outcome::Skipped(SkipCause::Interrupted)),
        ];
        insta::assert_snapshot!(summary(&fates, Completion::Interrupted, None), @r"
        12 hosts: 2 ok, 7 cancelled, 3 skipped; interrupted after 1.2s
          web[01-02] (2): ok
          web[03-04] (2): cancelled, stopped
              hint: what the command did until then stays: check, then run it again
          web[05-09] (5): cancelled, may still run (no answer)
              hint: look for what is left on the host, with ps -ef, before running it again
          web[10-12] (3): not started: the run was interrupted
              hint: --resume last goes on with these hosts
        ");
    }

    #[test]
    fn remote_words_in_a_reason_cannot_write_to_the_terminal() {
        let error = HostError::new(Stage::Banner, FailureClass::Banner, "got \x1b[2J\nHTTP/1.1");
        let text = summary(&[(1, Outcome::Failed(error))], Completion::Complete, Some(80));
        assert!(text.contains("got \\x1b[2J\\nHTTP/1.1"), "{text}");
    }

    #[test]
    fn a_long_list_is_wrapped_under_its_reason_on_a_terminal() {
        let names: Vec<String> = (1..=5).map(|n| format!("ip-10-0-{}-{}", n * 37, n * 41)).collect();
        let outcomes = vec![outcome_refused(); 5];
        insta::assert_snapshot!(text(&names, outcomes, Completion::Complete, Some(50)), @r"
        5 hosts: 5 unreachable in 1.2s
          5 hosts: connect: connection refused
              ip-10-0-37-41,ip-10-0-74-82,ip-10-0-111-123,
              ip-10-0-148-164,ip-10-0-185-205
              hint: check that sshd runs there and listens
              on this port
        ");
    }

    #[test]
    fn hosts_on_which_a_command_may_still_run_are_all_named() {
        let names: Vec<String> = (1..=250).map(|n| format!("ip-10-0-{}-{n}", n * 37 % 256)).collect();
        let left = stopped(Stop::Unconfirmed("no answer".into()));
        let screen = text(&names, vec![left; 250], Completion::Abandoned, Some(80));
        assert_eq!(screen.matches("ip-10-0-").count(), 250, "{screen}");
    }

    #[test]
    fn long_lists_are_short_on_a_terminal_and_complete_in_a_pipe() {
        let names: Vec<String> =
            (0..10_000).map(|n| format!("ip-10-{}-{}-{}", n * 7 % 256, n * 13 % 251, n % 17)).collect();
        let own_reason = |n: usize| {
            let message = format!("changed key in known_hosts line {n}");
            Outcome::Failed(HostError::new(Stage::KeyExchange, FailureClass::HostKey, message))
        };
        let outcomes: Vec<Outcome> =
            (0..10_000).map(|n| if n < 9_000 { Outcome::Exited(1) } else { own_reason(n) }).collect();
        let screen = text(&names, outcomes.clone(), Completion::Complete, Some(80));
        assert!(screen.lines().count() < 30, "{screen}");
        assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
        assert!(screen.contains("more reasons"), "{screen}");
        let pipe = text(&names, outcomes, Completion::Complete, None);
        assert_eq!(pipe.matches("changed key").count(), 1000);
        assert!(pipe.contains("known_hosts line 9999"));
    }

    #[test]
    fn incomplete_files_and_cut_lines_are_named() {
        let report = Report::new(vec![Outcome::Exited(0); 3]);
        let ending = Ending {
            elapsed: Duration::from_secs(125),
            status: report.exit_status(ExitRule::WorstClass),
            completion: Completion::Complete,
        };
        let hosts = labels(["web1", "web2", "web3"]);
        let incomplete_files = BTreeMap::from([("out: No space left on device".to_owned(), vec![0, 1])]);
        let remarks = Remarks { incomplete_files, cut_lines: vec![2] };
        let (results, columns) = (&HashMap::new(), None);
        let summary =
            Summary { hosts: &hosts, report: &report, ending: &ending, remarks, results, columns, paint: Paint::Off };
        assert!(!summary.is_all_fine());
        insta::assert_snapshot!(summary.text(), @r"
        3 hosts: 3 ok in 2m 5s
          incomplete output files: web[1-2] (2): out: No space left on device
          lines too long to be shown whole were shown in pieces: web3
        ");
    }

    #[test]
    fn several_attempts_are_counted_in_the_reason_also_where_the_last_was_fine() {
        let hosts: Vec<_> = (1..=4).map(|number| HostLabel { name: format!("web{number}") }).collect();
        let outcomes = vec![Outcome::Exited(0), Outcome::Exited(0), outcome_refused(), outcome_refused()];
        let report = Report::new(outcomes).with_attempts(vec![1, 2, 3, 1]);
        let status = report.exit_status(ExitRule::WorstClass);
        let ending = Ending { elapsed: Duration::from_secs(1), status, completion: Completion::Complete };
        let remarks = Remarks::default();
        let (results, columns) = (&HashMap::new(), None);
        let summary =
            Summary { hosts: &hosts, report: &report, ending: &ending, remarks, results, columns, paint: Paint::Off };
        insta::assert_snapshot!(summary.text(), @r"
        4 hosts: 2 ok, 2 unreachable in 1.0s
          web2 (1): ok (2 attempts)
          web3 (1): connect: connection refused (3 attempts)
              hint: check that sshd runs there and listens on this port
          web4 (1): connect: connection refused
        ");
    }

    #[test]
    fn hosts_are_grouped_by_what_their_work_came_to() {
        let hosts = labels(["web1", "web2", "web3", "web4", "web5"]);
        let outcomes = vec![Outcome::Exited(0), Outcome::Exited(0), Outcome::Exited(0), Outcome::Exited(3)];
        let report = Report::new([outcomes, vec![Outcome::Exited(3)]].concat()).with_attempts(vec![1, 1, 2, 1, 1]);
        let status = report.exit_status(ExitRule::WorstClass);
        let ending = Ending { elapsed: Duration::from_secs(1), status, completion: Completion::Complete };
        let results = [(0, "2 files"), (1, "2 files"), (2, "2 files"), (3, "1 file\x1b[2J")];
        let results = &results.map(|(index, text)| (index, text.to_owned())).into();
        let (remarks, columns) = (Remarks::default(), None);
        let summary =
            Summary { hosts: &hosts, report: &report, ending: &ending, remarks, results, columns, paint: Paint::Off };
        insta::assert_snapshot!(summary.text(), @r"
        5 hosts: 3 ok, 2 failed in 1.0s
          web[1-2] (2): 2 files
          web3 (1): 2 files (2 attempts)
          web4 (1): exit code 3 (1 file\x1b[2J)
              hint: the command itself failed: its output says why
          web5 (1): exit code 3
        ");
    }
}
