//! What is different between two runs.
//!
//! Must not know where runs come from.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use fleet_core::hostset;
use fleet_core::record::{FormerHost, FormerRun, RunState, Store};
use fleet_core::render::{HostLabel, file_names, sanitized_line};

use super::{ending, hosts};

/// Two runs beside each other.
pub(super) struct Difference<'a> {
    pub(super) before: &'a FormerRun,
    pub(super) after: &'a FormerRun,
    /// The hosts with another fate, before and after.
    pub(super) changed: Vec<(&'a FormerHost, &'a FormerHost)>,
    pub(super) only_before: Vec<&'a str>,
    pub(super) only_after: Vec<&'a str>,
    /// The hosts that said something else; `None` where not both runs kept it.
    pub(super) other_output: Option<Vec<&'a str>>,
    /// How many hosts are in both runs.
    pub(super) common: usize,
}

impl<'a> Difference<'a> {
    pub(super) fn of(before: &'a FormerRun, after: &'a FormerRun, store: &Store) -> Self {
        let earlier = by_name(before);
        let later = by_name(after);
        let missing = |of: &'a FormerRun, from: &BTreeMap<&str, usize>| {
            of.hosts.iter().map(|host| host.host.as_str()).filter(|name| !from.contains_key(name)).collect()
        };
        let pairs: Vec<(usize, usize)> =
            before.hosts.iter().filter_map(|host| Some((earlier[&*host.host], *later.get(&*host.host)?))).collect();
        let fates = pairs.iter().map(|(earlier, later)| (&before.hosts[*earlier], &after.hosts[*later]));
        let both_kept = before.header.output && after.header.output;
        Self {
            changed: fates.filter(|(earlier, later)| before.words_of(earlier) != after.words_of(later)).collect(),
            only_before: missing(before, &later),
            only_after: missing(after, &earlier),
            other_output: both_kept.then(|| other_output(before, after, &pairs, store)),
            common: pairs.len(),
            before,
            after,
        }
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        for (sign, run) in [("-", self.before), ("+", self.after)] {
            let command = sanitized_line(&run.header.command);
            writeln!(out, "{sign} {}  {}, {}: {command}", run.id, hosts(run.hosts.len()), how(run))?;
        }
        let mut groups: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
        for (earlier, later) in &self.changed {
            let words = (self.before.words_of(earlier), self.after.words_of(later));
            groups.entry(words).or_default().push(&earlier.host);
        }
        let mut line = |names: &[&str], text: &str| match names {
            [] => Ok(()),
            names => {
                let folded = sanitized_line(&hostset::fold(names));
                writeln!(out, "  {folded} ({}): {}", names.len(), sanitized_line(text))
            }
        };
        for ((earlier, later), names) in &groups {
            line(names, &format!("{earlier} -> {later}"))?;
        }
        line(&self.only_before, &format!("only in {}", self.before.id))?;
        line(&self.only_after, &format!("only in {}", self.after.id))?;
        line(self.other_output.as_deref().unwrap_or_default(), "other output")?;
        writeln!(out, "  {} of {} in both ended as before", self.common - self.changed.len(), hosts(self.common))
    }
}

/// `exit 5`, `running` or `died`
fn how(run: &FormerRun) -> String {
    let ending = ending(run);
    if matches!(run.state, RunState::Ended { .. }) { format!("exit {ending}") } else { ending }
}

fn by_name(run: &FormerRun) -> BTreeMap<&str, usize> {
    run.hosts.iter().enumerate().map(|(place, host)| (host.host.as_str(), place)).collect()
}

fn other_output<'a>(before: &'a FormerRun, after: &FormerRun, pairs: &[(usize, usize)], store: &Store) -> Vec<&'a str> {
    let (earlier, later) = (files(before, store), files(after, store));
    let differs = |pair: &&(usize, usize)| {
        let (earlier, later) = (&earlier[pair.0], &later[pair.1]);
        !(have_same_bytes(&earlier[0], &later[0]) && have_same_bytes(&earlier[1], &later[1]))
    };
    pairs.iter().filter(differs).map(|(earlier, _)| before.hosts[*earlier].host.as_str()).collect()
}

/// The two files of each host.
fn files(run: &FormerRun, store: &Store) -> Vec<[std::path::PathBuf; 2]> {
    let labels: Vec<HostLabel> = run.hosts.iter().map(|host| HostLabel { name: host.host.clone() }).collect();
    let folders = store.output(&run.id);
    file_names(&labels).iter().map(|name| [folders.stdout.join(name), folders.stderr.join(name)]).collect()
}

/// Whether two files are equal; a host that never started has none, which equals only another that is not there.
fn have_same_bytes(earlier: &Path, later: &Path) -> bool {
    match (File::open(earlier), File::open(later)) {
        (Ok(earlier), Ok(later)) => {
            let bytes = |file| BufReader::new(file).bytes().map(Result::ok);
            let length = |file: &File| file.metadata().ok().map(|metadata| metadata.len());
            length(&earlier) == length(&later) && bytes(earlier).eq(bytes(later))
        }
        (Err(_), Err(_)) => true,
        _ => false,
    }
}
