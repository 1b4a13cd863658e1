//! From what the library and the operating system say to a `HostError` that folds over a fleet.
//!
//! Must not name hosts or addresses in messages: equal failures of many hosts are shown as one line.

use std::io;

use russh::ChannelOpenFailure;

use fleet_core::outcome::{FailureClass, HostError, Stage};

/// A russh error as a lower-case fragment.
pub(super) fn describe(error: &russh::Error) -> String {
    match error {
        russh::Error::IO(error) => describe_io(error),
        russh::Error::HUP | russh::Error::Disconnect => "connection closed by the server".to_owned(),
        russh::Error::NoCommonAlgo { kind, ours, theirs } => {
            let kind = format!("{kind:?}").to_lowercase();
            format!("no common {kind} algorithm (ours: {}; theirs: {})", ours.join(","), theirs.join(","))
        }
        russh::Error::WrongServerSig => "the server's signature over the key exchange is wrong".to_owned(),
        russh::Error::PacketAuth | russh::Error::DecryptionError => "a packet arrived damaged".to_owned(),
        russh::Error::ChannelOpenFailure(failure) => describe_open_failure(failure),
        other => lower_first(&other.to_string()),
    }
}

/// An operating system error without its number.
pub(super) fn describe_io(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset by the server".to_owned(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => "connection closed by the server".to_owned(),
        io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network is unreachable".to_owned(),
        io::ErrorKind::TimedOut => "connection timed out".to_owned(),
        _ => {
            let text = error.to_string();
            lower_first(text.split(" (os error").next().unwrap_or(&text))
        }
    }
}

/// A failure to open the connection.
pub(super) fn from_connect(error: &io::Error) -> HostError {
    let message = describe_io(error);
    let class = match error.kind() {
        io::ErrorKind::ConnectionRefused => FailureClass::Refused,
        io::ErrorKind::TimedOut => FailureClass::Timeout,
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::AddrNotAvailable
        | io::ErrorKind::PermissionDenied => FailureClass::Unreachable,
        _ => FailureClass::Local,
    };
    HostError::new(Stage::Connect, class, message)
}

/// Why the server would not open a channel.
pub(super) fn describe_open_failure(failure: &ChannelOpenFailure) -> String {
    match failure {
        ChannelOpenFailure::AdministrativelyProhibited => "the server prohibits it".to_owned(),
        ChannelOpenFailure::ConnectFailed => "the server could not connect".to_owned(),
        ChannelOpenFailure::UnknownChannelType => "the server does not know this kind of channel".to_owned(),
        ChannelOpenFailure::ResourceShortage => "the server is short of resources".to_owned(),
        ChannelOpenFailure::Other { code, .. } => format!("the server refused with code {code}"),
    }
}

/// Why a jump host would not connect us to the next host.
pub(super) fn from_forward(failure: &ChannelOpenFailure) -> HostError {
    let failed = |message: &str| HostError::new(Stage::Connect, FailureClass::Refused, message);
    match failure {
        ChannelOpenFailure::ConnectFailed => failed("it could not connect").with_hint(
            "on the jump host, check that the name resolves and the port answers; with -v its own words are shown",
        ),
        ChannelOpenFailure::AdministrativelyProhibited => failed("it does not allow the connection")
            .with_hint("allow it in the jump host's sshd_config (AllowTcpForwarding, PermitOpen)"),
        other => failed(&describe_open_failure(other)),
    }
}

/// The first line of what came instead of an SSH identification, fit to be shown.
pub(super) fn describe_preamble(bytes: &[u8]) -> String {
    let line = printable(bytes.split(|&b| b == b'\n').next().unwrap_or_default());
    line.chars().take(60).collect()
}

/// One line of somebody else's words without control characters.
pub(super) fn printable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let shown = text.trim_end_matches(|c: char| c.is_control() || c == ' ').chars();
    shown.map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operating_system_errors_become_classes() {
        for (kind, class) in [
            (io::ErrorKind::ConnectionRefused, FailureClass::Refused),
            (io::ErrorKind::HostUnreachable, FailureClass::Unreachable),
            (io::ErrorKind::NetworkUnreachable, FailureClass::Unreachable),
            (io::ErrorKind::TimedOut, FailureClass::Timeout),
            (io::ErrorKind::OutOfMemory, FailureClass::Local),
        ] {
            assert_eq!(from_connect(&kind.into()).class, class, "{kind:?}");
        }
    }

    #[test]
    fn messages_carry_no_error_number() {
        let error = io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        assert_eq!(describe_io(&error), "too many open files");
    }

    #[test]
    fn garbage_is_shown_without_control_characters() {
        assert_eq!(describe_preamble(b"HTTP/1.1 400\r\nmore"), "HTTP/1.1 400");
        assert_eq!(describe_preamble(b"\x1b[31mred\n"), "?[31mred");
    }
}
