//! The flags about how carefully a run goes on: canaries, waves, the rules that end it, further attempts.
//!
//! Must not know what the work is.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;

use super::{Failure, terminal};
use fleet_core::fanout::{AtEarlyEnd, Canary, Consent, RetrySettings, RolloutSettings};
use fleet_core::settings::{self, Share};

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Rollout")]
pub(super) struct RolloutArgs {
    /// Run on the first N hosts and ask before the rest; without --max-fail, one that is not fine ends the run
    #[arg(long, value_name = "N")]
    canary: Option<usize>,

    /// Go on after the canaries without a question, unless a rule ends the run
    #[arg(long)]
    yes: bool,

    /// Work in waves of N hosts or P% of all, each after the end of the one before
    #[arg(long, value_name = "N|P%")]
    batch: Option<Share>,

    /// Pause between waves
    #[arg(long, value_name = "TIME", value_parser = settings::parse_duration)]
    delay: Option<Duration>,

    /// Start each host after a random pause of up to TIME, from the start of its wave
    #[arg(long, value_name = "TIME", value_parser = settings::parse_duration)]
    splay: Option<Duration>,

    /// Start no more hosts when more than N, or P% of all, are not fine
    #[arg(long, value_name = "N|P%")]
    max_fail: Option<Share>,

    /// Exit with 0 when N hosts or P% of all are fine; start no more when that is out of reach
    #[arg(long, value_name = "N|P%")]
    quorum: Option<Share>,

    /// Stop what runs, too, when --max-fail, --quorum or a canary ends the run
    #[arg(long)]
    kill: bool,

    /// Try up to N times more to connect to a host, with growing pauses; never after a refused login or host key
    #[arg(long, value_name = "N")]
    retry: Option<u32>,

    /// Run the command up to N times more on a host where it failed or was lost
    #[arg(long, value_name = "N")]
    retry_command: Option<u32>,
}

impl RolloutArgs {
    /// What the flags mean for a run on so many hosts.
    ///
    /// # Errors
    /// When they contradict each other or the number of hosts, or a question could not be asked.
    pub(super) fn settings(self, hosts: usize, straggler_percent: Option<u32>) -> Result<RolloutSettings, Failure> {
        let Self { canary, yes, batch, delay, splay, max_fail, quorum, kill, retry, retry_command } = self;
        let consent = if yes { Consent::Given } else { Consent::Asked };
        if batch.is_some_and(Share::is_zero) {
            return Err(Failure::usage_text("--batch 0 would never work on a host; expected 1 or more, or 1% to 100%"));
        }
        if delay.is_some() && batch.is_none() && canary.is_none() {
            return Err(Failure::usage_text("--delay is a pause between waves, and there is only one")
                .hint("--batch makes waves; --splay spreads the starts within one"));
        }
        if kill && max_fail.is_none() && quorum.is_none() && canary.is_none() {
            return Err(Failure::usage_text("--kill says what happens when a rule ends the run, and there is no rule")
                .hint("give --max-fail, --quorum or --canary as well"));
        }
        Ok(RolloutSettings {
            canary: canary.map(|count| canary_of(count, consent, hosts)).transpose()?,
            batch,
            max_fail,
            quorum: quorum.map(|share| reachable(share, hosts)).transpose()?,
            at_early_end: if kill { AtEarlyEnd::Stop } else { AtEarlyEnd::Wait },
            delay: delay.unwrap_or_default(),
            splay: splay.unwrap_or_default(),
            retry: RetrySettings {
                connections: retry.unwrap_or_default(),
                commands: retry_command.unwrap_or_default(),
                ..RetrySettings::default()
            },
            straggler_percent,
        })
    }
}

fn canary_of(count: usize, consent: Consent, hosts: usize) -> Result<Canary, Failure> {
    let Some(count) = NonZeroUsize::new(count) else {
        return Err(Failure::usage_text("--canary 0 would try nothing out; expected 1 or more"));
    };
    if consent == Consent::Asked && count.get() < hosts && !terminal::is_there() {
        return Err(Failure::usage_text("--canary asks before it goes on, and there is no terminal to ask at")
            .hint("--yes goes on without a question when the canaries are fine"));
    }
    Ok(Canary { hosts: count, consent })
}

fn reachable(share: Share, hosts: usize) -> Result<Share, Failure> {
    match share {
        share if share.is_zero() => {
            Err(Failure::usage_text("--quorum 0 would make every run a success; expected 1 or more, or 1% to 100%"))
        }
        Share::Count(count) if count > hosts => {
            Err(Failure::usage_text(format!("--quorum {count} is out of reach: {hosts} hosts are chosen")))
        }
        share => Ok(share),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        rollout: RolloutArgs,
    }

    fn settings(words: &[&str]) -> Result<RolloutSettings, String> {
        let line = Line::try_parse_from([&["x"], words].concat()).map_err(|error| error.to_string())?;
        let printed = |failure: Failure| {
            let mut text = Vec::new();
            failure.print("x", &mut text);
            String::from_utf8(text).unwrap()
        };
        line.rollout.settings(20, None).map_err(printed)
    }

    #[test]
    fn without_flags_a_run_is_one_wave_without_rules() {
        assert_eq!(settings(&[]), Ok(RolloutSettings::default()));
    }

    #[test]
    fn every_flag_arrives() {
        let words = "--canary 3 --yes --batch 10% --delay 30 --splay 1m --max-fail 2 --quorum 90% --kill --retry 4 \
                     --retry-command 1";
        let expected = RolloutSettings {
            canary: Some(Canary { hosts: NonZeroUsize::new(3).unwrap(), consent: Consent::Given }),
            batch: Some(Share::Percent(10)),
            max_fail: Some(Share::Count(2)),
            quorum: Some(Share::Percent(90)),
            at_early_end: AtEarlyEnd::Stop,
            delay: Duration::from_secs(30),
            splay: Duration::from_secs(60),
            retry: RetrySettings { connections: 4, commands: 1, ..RetrySettings::default() },
            straggler_percent: None,
        };
        assert_eq!(settings(&words.split_whitespace().collect::<Vec<_>>()), Ok(expected));
    }

    #[test]
    fn impossible_wishes_are_refused_by_name() {
        for (words, message) in [
            (&["--batch", "0"][..], "--batch 0 would never"),
            (&["--batch", "0%"], "--batch 0 would never"),
            (&["--batch", "many"], "\"many\" is no share of the hosts"),
            (&["--max-fail", "120%"], "\"120%\" is no share of the hosts"),
            (&["--quorum", "0%"], "--quorum 0 would make every run a success"),
            (&["--quorum", "21"], "--quorum 21 is out of reach: 20 hosts"),
            (&["--canary", "0", "--yes"], "--canary 0 would try nothing"),
            (&["--delay", "5s"], "hint: --batch makes waves"),
            (&["--kill"], "hint: give --max-fail, --quorum or --canary"),
        ] {
            let error = settings(words).unwrap_err();
            assert!(error.contains(message), "{words:?}: {error}");
        }
    }

    #[test]
    fn more_canaries_than_hosts_need_nobody_to_ask() {
        assert!(settings(&["--canary", "20"]).unwrap().canary.is_some());
    }
}
