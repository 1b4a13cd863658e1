//! What a host tells of a service, in words: `running pid=4711 since=2026-11-23T05:02:50Z by=setsid`.
//!
//! Process numbers and times are written so that `--dedup-ignore pid,time` finds them. Must not know how they are shown.

use std::time::{Duration, SystemTime};

use fleet_ssh::remote::{ServiceReport, ServiceState};

/// The last second that has a date of four digits: no host can make us write another one.
const LAST_SECOND: u64 = 253_402_300_799;

/// What has become of a service: equal for hosts where that is equal.
pub(super) fn state(state: &ServiceState) -> String {
    match state {
        ServiceState::Running => "running".to_owned(),
        ServiceState::Exited(code) => format!("exited {code}"),
        ServiceState::Stopped(signal) => format!("stopped (signal {signal})"),
        ServiceState::Died => "died without a word".to_owned(),
        ServiceState::None => "none".to_owned(),
    }
}

/// One service in a line.
pub(super) fn service(service: &ServiceReport) -> Vec<u8> {
    format!("{}\n", facts(service)).into_bytes()
}

/// One service of several in a line.
pub(super) fn listed(service: &ServiceReport) -> Vec<u8> {
    let mut line = format!("{}  {}  ", service.name, facts(service)).into_bytes();
    line.extend_from_slice(&service.title);
    line.push(b'\n');
    line
}

/// A length of time, as flags take it.
pub(super) fn time(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

fn facts(service: &ServiceReport) -> String {
    let started = SystemTime::UNIX_EPOCH + Duration::from_secs(service.started_secs.min(LAST_SECOND));
    let (state, since) = (state(&service.state), humantime::format_rfc3339_seconds(started));
    let by = &service.by;
    match service.pid {
        Some(pid) if service.state == ServiceState::Running => format!("{state} pid={pid} since={since} by={by}"),
        _ => format!("{state} started={since} by={by}"),
    }
}

#[cfg(test)]
mod tests {
    use fleet_ssh::remote::ServiceWord;

    use super::*;

    #[test]
    fn a_service_is_one_line_with_what_is_known_of_it() {
        let running = ServiceReport {
            word: ServiceWord::Is,
            name: "web".to_owned(),
            state: ServiceState::Running,
            pid: Some(12),
            started_secs: 1_795_320_119,
            by: "setsid".to_owned(),
            title: b"nginx -c x".to_vec(),
        };
        let ended = ServiceReport { state: ServiceState::Exited(7), started_secs: u64::MAX, ..running.clone() };
        let line = |bytes| String::from_utf8(bytes).unwrap();
        assert_eq!(line(service(&running)), "running pid=12 since=2026-11-22T04:01:59Z by=setsid\n");
        assert_eq!(line(listed(&ended)), "web  exited 7 started=9999-12-31T23:59:59Z by=setsid  nginx -c x\n");
    }
}
