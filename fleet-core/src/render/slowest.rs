//! The slowest hosts in words, for a person who wonders what a run is waiting for.
//!
//! Text only. Must not know where it is written.

use std::time::Duration;

use super::Occasion;
use super::progress::Progress;
use super::settings::HostLabel;
use crate::event::HostIndex;
use crate::hostset;
use crate::outcome::Stage;

/// How many hosts are named.
const MAX_NAMED: usize = 10;
/// How far the lines below the first are set in.
const INDENT: &str = "  ";

/// Hosts in the same stage, the one that runs longest in front.
struct Group {
    stage: Stage,
    age: Duration,
    hosts: Vec<HostIndex>,
}

/// The lines that name the slowest hosts, folded by stage: `command 12s: web[03-09] (7)`. Each is about as long as
/// `columns`, if there are any.
pub(super) fn lines(
    progress: &Progress,
    hosts: &[HostLabel],
    occasion: Occasion,
    now: Duration,
    columns: Option<usize>,
) -> Vec<String> {
    let head = match occasion {
        Occasion::Asked => format!("{} after {}s", progress.counts(), now.as_secs()),
        Occasion::Silence(silent) => format!("no news for {}s: {}", silent.as_secs(), progress.counts()),
    };
    let mut groups: Vec<Group> = Vec::new();
    for (index, stage, age) in progress.slowest(now).take(MAX_NAMED) {
        match groups.iter_mut().find(|group| group.stage == stage) {
            Some(group) => group.hosts.push(index),
            None => groups.push(Group { stage, age, hosts: vec![index] }),
        }
    }
    let mut lines = vec![head];
    lines.extend(groups.iter().map(|group| group.line(hosts, columns)));
    match progress.running() {
        running if running > MAX_NAMED => lines.push(format!("{INDENT}and {} more", running - MAX_NAMED)),
        _ => {}
    }
    lines
}

impl Group {
    fn line(&self, hosts: &[HostLabel], columns: Option<usize>) -> String {
        let names: Vec<&str> = self.hosts.iter().map(|index| hosts[*index].name.as_str()).collect();
        let names = match columns {
            Some(columns) => hostset::fold_limited(&names, columns),
            None => hostset::fold(&names),
        };
        format!("{INDENT}{} {}s: {names} ({})", self.stage, self.age.as_secs(), self.hosts.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{event, finished_ok, labels, started};
    use super::*;
    use crate::event::{Event, HostEvent};

    fn told(names: &[String], events: &[HostEvent], occasion: Occasion, columns: Option<usize>) -> Vec<String> {
        let hosts = labels(names.iter().map(String::as_str));
        let mut progress = Progress::new(&hosts);
        events.iter().for_each(|event| progress.event(event));
        lines(&progress, &hosts, occasion, Duration::from_millis(25_900), columns)
    }

    fn started_at(index: HostIndex, secs: u64) -> HostEvent {
        event(index, secs, Event::Started)
    }

    #[test]
    fn hosts_are_folded_by_stage_the_slowest_first() {
        let names: Vec<_> = (0..20).map(|index| format!("web{index:02}")).collect();
        let stage = |index, stage| event(index, 20, Event::Stage(stage));
        let mut events: Vec<_> = (0..6).map(|index| started_at(index, 13 - index as u64)).collect();
        events.extend([0, 2, 3].map(|index| stage(index, Stage::Command)));
        events.extend([1, 4].map(|index| stage(index, Stage::Connect)));
        events.push(finished_ok(5));
        let expected =
            ["1/20 done, 5 running after 25s", "  connect 16s: web[01,04] (2)", "  command 15s: web[00,02-03] (3)"];
        assert_eq!(told(&names, &events, Occasion::Asked, None), expected);
    }

    #[test]
    fn ten_are_named_and_the_others_counted() {
        let names: Vec<_> = (0..5000).map(|index| format!("web{index:04}")).collect();
        let events: Vec<_> = (0..5000).map(started).collect();
        let expected =
            ["no news for 10s: 0/5000 done, 5000 running", "  resolve 25s: web[0000-0009] (10)", "  and 4990 more"];
        assert_eq!(told(&names, &events, Occasion::Silence(Duration::from_secs(10)), None), expected);
    }

    #[test]
    fn a_terminal_shortens_the_names() {
        let names: Vec<_> = ["a", "b", "c"].map(|letter| letter.repeat(30)).into();
        let events: Vec<_> = (0..3).map(started).collect();
        let told = told(&names, &events, Occasion::Asked, Some(62));
        assert_eq!(told[1], format!("  resolve 25s: {},{}, … and 1 more (3)", names[0], names[1]));
    }

    #[test]
    fn nothing_is_named_where_nothing_runs() {
        assert_eq!(told(&["a".into()], &[], Occasion::Asked, None), ["0/1 done, 0 running after 25s"]);
    }
}
