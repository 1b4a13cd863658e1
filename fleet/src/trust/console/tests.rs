use super::*;

const ED25519: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEjaE92IolkswGYCjqv9XiEovdbqVFizsBqGXBuYmA5t root@ip-10-0-0-1";
const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBKwj8xDG2eJnkotUy6lHWwnnOy9Iy\
    ajy+8oQezF9joCIheE0WJvRAzzz1/UHK3HZFlpx8rNDtnNMZR1MG3b8oOI= root@ip-10-0-0-1";
const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIUmfB8vZcHDd0MHRmcFsfhERr2F+tv/V+k8fmXZlgE root@ip-10-0-0-1";
const SHA256: &str = "256 SHA256:2wocfuQfTg49nlH5AqjcE/mJXYJFtqRyKDU5XxUn6NU root@ip-10-0-0-1 (ED25519)";
const MD5: &str = "256 de:39:18:df:4c:1e:68:67:78:da:1e:68:97:a8:4f:01  root@ip-10-0-0-1 (ED25519)";
const ECDSA_SHA256: &str = "256 SHA256:3f49/Pvrbzo6uRLhB/9JU7+tyt5Ja5Li5rPQqhMsgTI root@ip-10-0-0-1 (ECDSA)";
const DSA: &str = "1024 SHA256:QjoxEw9PNOg0P3LW6wnSZzjsfQQ4vhW8S0dAuNWkWHM root@ip-10-0-0-1 (DSA)";

fn framed(frame: &Frame, lines: &[&str]) -> String {
    format!("{}\n{}\n{}\n", frame.begin, lines.join("\n"), frame.end)
}

fn fingerprints(lines: &[&str]) -> String {
    framed(&FINGERPRINTS, lines)
}

fn keys(lines: &[&str]) -> String {
    framed(&KEYS, lines)
}

/// What is found, in short.
fn found(text: &str) -> String {
    let kind = |key: &PublicKey| key.algorithm().as_str().to_owned();
    match host_keys(text) {
        Ok(Vouched::Keys(keys)) => format!("keys {}", keys.iter().map(kind).collect::<Vec<_>>().join(" ")),
        Ok(Vouched::Fingerprints(printed)) => {
            let kinds: Vec<_> = printed.into_iter().map(|printed| printed.kind).collect();
            format!("fingerprints {}", kinds.join(" "))
        }
        Err(problem) => format!("{problem:?}"),
    }
}

#[test]
fn frames_are_read_whatever_stands_before_their_lines() {
    let text = fingerprints(&[SHA256, DSA, ECDSA_SHA256]);
    for prefix in [
        "",
        "ec2: ",
        "cloud-init: ",
        "ci-info: ",
        "<14>Nov 22 03:04:05 cloud-init: ",
        "<14>Jan  6 15:27:31 ec2: ",
        "<14>cloud-init: ",
        "Aug  9 04:57:16 travis-job-f883 ec2: ",
        "[   12.345678] cloud-init[1249]: ",
        "[ 12.34] cloud-init[123]: ",
        "[   20.1] ip-10-0-0-1 cloud-init[123]: ",
        "2026-11-22T03:04:05.123456+00:00 ip-10-0-0-1 ec2[7]: ",
        "[    9.1] ",
        "  ",
        "\u{1b}[0;32m",
        "\u{1b}c\u{1b}[?7l\u{1b}[2J<14>Nov 22 03:04:05 ec2: ",
    ] {
        for end in ["\n", "\r\n", "\r\r\n", " \n", "\u{1b}[0m\n"] {
            let text: String = text.lines().map(|line| format!("{prefix}{line}{end}")).collect();
            let text = format!("[    0.0] Linux version 6.1\n{text}\nip-10-0-0-1 login: ");
            assert_eq!(found(&text), "fingerprints ED25519 ECDSA", "{prefix:?} {end:?}");
        }
    }
}

#[test]
fn keys_are_taken_where_they_are_printed_and_agree_with_the_fingerprints() {
    for (text, expected) in [
        (fingerprints(&[SHA256]), "fingerprints ED25519"),
        (fingerprints(&[MD5]), "fingerprints ED25519"),
        (keys(&[ED25519, ECDSA]), "keys ssh-ed25519 ecdsa-sha2-nistp256"),
        (fingerprints(&[SHA256]) + &keys(&[ED25519]), "keys ssh-ed25519"),
        (fingerprints(&[MD5]) + &keys(&[ED25519, ECDSA]), "keys ssh-ed25519"),
        (fingerprints(&[ECDSA_SHA256]) + &keys(&[ED25519]), "Contradiction"),
        (fingerprints(&[SHA256]) + &keys(&[]), "fingerprints ED25519"),
        (fingerprints(&[]) + &keys(&[ED25519]), "Contradiction"),
        (fingerprints(&[]), "Nothing"),
        (fingerprints(&[DSA]), "Nothing"),
        (keys(&["ssh-dss AAAAB3NzaC1kc3MAAACBAA=="]), "Nothing"),
    ] {
        assert_eq!(found(&text), expected, "{text}");
    }
}

#[test]
fn a_console_without_whole_frames_says_nothing() {
    let whole = fingerprints(&[SHA256]);
    for (text, expected) in [
        (String::new(), "Empty"),
        (" \r\n\n".to_owned(), "Empty"),
        ("[    0.0] Linux version 6.1\nip-10-0-0-1 login: ".to_owned(), "Nothing"),
        (whole[..whole.len() - 4].to_owned(), "Cut"),
        (whole[..whole.len() / 2].to_owned(), "Cut"),
        (keys(&[ED25519])[..80].to_owned(), "Cut"),
        (whole[9..].to_owned(), "Nothing"),
        (whole.clone() + &keys(&[ED25519])[..80], "fingerprints ED25519"),
    ] {
        assert_eq!(found(&text), expected, "{text}");
    }
}

#[test]
fn only_the_first_frame_counts() {
    let (first, later) = (fingerprints(&[SHA256]), fingerprints(&[ECDSA_SHA256]));
    for (text, expected) in [
        (first.clone() + &later, "fingerprints ED25519"),
        (keys(&[ED25519]) + &keys(&[OTHER, ECDSA]), "keys ssh-ed25519"),
        // Keys that are added later are not those of the fingerprints.
        (first.clone() + "login:\n" + &keys(&[ECDSA]), "Contradiction"),
        // A first frame that is not whole is not replaced, and not completed.
        (first[..first.len() - 4].to_owned() + "\n" + &later, "Spoilt"),
        (first.replace(FINGERPRINTS.end, "") + &later, "Spoilt"),
        (first.replace(FINGERPRINTS.end, &"noise\n".repeat(FRAME_LINES + 1)) + &later, "Spoilt"),
    ] {
        assert_eq!(found(&text), expected, "{text}");
    }
}

#[test]
fn text_of_others_does_not_begin_a_frame() {
    for prefix in [
        "ip-10-0-0-1 login: ",
        "sshd[7]: Invalid user ",
        "Nov 22 03:04:05 host sshd[7]: ",
        "Nov 22 03:04:05 host sshd[7]: ec2: ",
        "[   12.3] audit: ec2: ",
        "not-ec2: ",
        "a b c d e ec2: ",
        "[ec2] ",
        "<14x>",
        "x",
        "\u{7}",
        "\u{1b}]0;",
    ] {
        let text: String = fingerprints(&[SHA256]).lines().map(|line| format!("{prefix}{line}\n")).collect();
        assert_eq!(found(&text), "Nothing", "{prefix:?}");
    }
    assert_eq!(found(&fingerprints(&[SHA256]).replace("-----\n", "----- \u{7}\n")), "Nothing");
}

#[test]
fn a_line_that_something_was_mixed_into_is_passed_over() {
    let short = &SHA256.replace("2woc", "");
    for line in [
        "",
        "[   12.3] IPv6: ADDRCONF(NETDEV_CHANGE): eth0: link becomes ready",
        "256 SHA256:2wocfu[   12.3] eth0: up",
        short,
        "SHA256:2wocfuQfTg49nlH5AqjcE/mJXYJFtqRyKDU5XxUn6NU (ED25519)",
        "key SHA256:2wocfuQfTg49nlH5AqjcE/mJXYJFtqRyKDU5XxUn6NU root@ip-10-0-0-1 (ED25519)",
        "256 SHA256:2wocfuQfTg49nlH5AqjcE/mJXYJFtqRyKDU5XxUn6NU root@ip-10-0-0-1",
        "256 SHA256:2wocfuQfTg49nlH5AqjcE/mJXYJFtqRyKDU5XxUn6NU\u{7} root (ED25519)",
    ] {
        assert_eq!(found(&fingerprints(&[line, ECDSA_SHA256])), "fingerprints ECDSA", "{line:?}");
    }
    for line in ["ssh-ed25519 AAAA", "ssh-rsa", "command=\"x\" ssh-ed25519", &format!("web {ED25519}")] {
        assert_eq!(found(&keys(&[line, ECDSA])), "keys ecdsa-sha2-nistp256", "{line:?}");
    }
}

#[test]
fn no_more_is_looked_at_than_any_console_keeps() {
    let filler = "é".repeat(TEXT_LIMIT / 2);
    assert_eq!(found(&format!("x{filler}\n{}", fingerprints(&[SHA256]))), "Nothing");
    let frame = fingerprints(&[SHA256]);
    assert_eq!(found(&format!("{frame}{filler}{filler}")), "fingerprints ED25519");
}

#[test]
fn any_text_is_read_without_a_panic() {
    let whole = fingerprints(&[SHA256, MD5]) + &keys(&[ED25519]);
    for end in 0..whole.len() {
        for inserted in ["\u{1b}", "\u{1b}[", "[", "<", "é", ":"] {
            let _ = host_keys(&format!("{}{inserted}{}", &whole[..end], &whole[end..]));
        }
    }
}
