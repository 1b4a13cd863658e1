//! How a value is put into the middle of a command so that it stays one word, whatever it holds.
//!
//! Must not know what the value is.

use fleet_ssh::remote::login_shell_word;

/// `value` as it can stand behind `before` in a command for any login shell; `None` when no quoting is certain to hold
/// there.
///
/// A value of letters, digits and the punctuation of names, addresses and paths stands anywhere as it is.
pub(crate) fn quoted_behind(before: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let quoted = login_shell_word(value);
    if quoted == value || stands_free(before) {
        return Some(quoted);
    }
    value.is_empty().then(Vec::new)
}

/// Whether a word begins or goes on behind `before`, outside of any quotes. Where more than quotes decides that
/// (comments, here-documents, commands within quotes) the answer is no: it may be wrong only in that way.
fn stands_free(before: &[u8]) -> bool {
    let mut open = None;
    let mut rest = before;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        let next = behind.first().copied();
        match (open, byte, next) {
            (Some(b'\''), b'\'', _) | (Some(b'"'), b'"', _) => open = None,
            (Some(b'\''), ..) => {}
            (_, b'\\', None) | (_, b'`', _) => return false,
            (_, b'\\', Some(_)) => rest = &behind[1..],
            (Some(_), b'$', Some(b'(' | b'{')) => return false,
            (Some(_), ..) => {}
            (None, b'#', _) | (None, b'<', Some(b'<')) | (None, b'$', Some(b'\'' | b'"')) => return false,
            (None, b'\'' | b'"', _) => open = Some(byte),
            (None, ..) => {}
        }
    }
    open.is_none() && !before.ends_with(b"$")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_plain_value_stands_anywhere_and_an_empty_one_is_nothing_inside_quotes() {
        for before in ["", "'", "\"", "# it's ", "cat <<E\n", "\\"] {
            assert_eq!(quoted_behind(before.as_bytes(), b"web-1.example").unwrap(), b"web-1.example", "{before}");
        }
        assert_eq!(quoted_behind(b"echo ", b"").unwrap(), b"''");
        assert_eq!(quoted_behind(b"echo \"", b"").unwrap(), b"");
    }

    /// The value that would run a command if any of its quoting failed.
    const HOSTILE: &[u8] = b"'\"`echo BAD`$(echo BAD)\\'\"; echo BAD #";

    #[test]
    fn a_hostile_value_is_one_word_or_is_refused() {
        for (before, behind, taken) in [
            ("printf %s ", "", true),
            ("printf %s a", "b", true),
            ("printf %s \"a\"", "'b'", true),
            ("printf %s 'it'\\''s'", "", true),
            ("printf %s \"\\\"\"", "", true),
            ("(printf %s ", ")", true),
            ("printf '%s' '#'", "", true),
            ("printf %s \"", "\"", false),
            ("printf %s '", "'", false),
            ("printf %s \\", "", false),
            ("printf %s $", "", false),
            ("printf %s \"$(printf %s \"", "\")\"", false),
            ("printf %s \"${X:-\"", "\"}\"", false),
            ("printf %s `printf %s ", "`", false),
            ("cat <<E\n", "\nE\n", false),
            ("# it's\nprintf %s \"it's ", "\"", false),
            ("printf %s $'\\'", "'", false),
        ] {
            let quoted = quoted_behind(before.as_bytes(), HOSTILE);
            assert_eq!(quoted.is_some(), taken, "{before}");
            let Some(quoted) = quoted else { continue };
            let script = [before.as_bytes(), &quoted, behind.as_bytes()].concat();
            let printed = Command::new("/bin/sh").arg("-c").arg(OsStr::from_bytes(&script)).output().unwrap().stdout;
            let printed = String::from_utf8(printed).unwrap();
            assert!(printed.contains(std::str::from_utf8(HOSTILE).unwrap()), "{before}: {printed}");
        }
    }
}
