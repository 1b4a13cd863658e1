//! Quoting for the shell at the other end.
//!
//! Must not know what is quoted.

/// One word of a POSIX shell, whose value is exactly `bytes`: the one function that quotes for a remote shell.
///
/// A word of letters, digits and `%+,-./:=@_` stays as it is, any other stands in single quotes. NUL has no
/// quoted form: callers refuse it.
#[must_use]
pub fn sh_quote(bytes: &[u8]) -> Vec<u8> {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"%+,-./:=@_".contains(b);
    if !bytes.is_empty() && bytes.iter().all(plain) {
        return bytes.to_vec();
    }
    let mut word = vec![b'\''];
    for &byte in bytes {
        match byte {
            b'\'' => word.extend_from_slice(br"'\''"),
            _ => word.push(byte),
        }
    }
    word.push(b'\'');
    word
}

/// One word of any login shell (POSIX, csh, fish), whose value is exactly `bytes`, but for line ends in csh.
///
/// As [`sh_quote`], but what some shell reads between single quotes stands outside of them: the backslash (fish) and `!`
/// (csh).
#[must_use]
pub fn login_shell_word(bytes: &[u8]) -> Vec<u8> {
    let quoted = sh_quote(bytes);
    if !bytes.iter().any(|b| b"'\\!".contains(b)) {
        return quoted;
    }
    let mut word = vec![b'\''];
    for &byte in bytes {
        match byte {
            b'\'' => word.extend_from_slice(br#"'"'"'"#),
            b'\\' => word.extend_from_slice(br"'\\'"),
            b'!' => word.extend_from_slice(br"'\!'"),
            _ => word.push(byte),
        }
    }
    word.push(b'\'');
    word
}

/// `bytes` as they can stand between single quotes in any login shell, encoded for `printf %b`.
///
/// Printable ASCII stays, but for what some shell does not take literally there: the quote itself, the backslash (fish), `!`
/// (csh's history) and line ends (csh).
pub(super) fn login_shell_text(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len() + bytes.len() / 4);
    for &byte in bytes {
        match byte {
            b'\n' => text.extend_from_slice(br"\n"),
            b' '..=b'~' if !b"'\\!".contains(&byte) => text.push(byte),
            // Always three digits after the 0, so that a digit that follows is not taken for one of them.
            _ => text.extend([b'\\', b'0', b'0' + (byte >> 6), b'0' + (byte >> 3 & 7), b'0' + (byte & 7)]),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    fn shell_prints(script: &[u8]) -> Vec<u8> {
        Command::new("/bin/sh").arg("-c").arg(OsStr::from_bytes(script)).output().unwrap().stdout
    }

    #[test]
    fn plain_words_stay_readable() {
        for (word, quoted) in [
            ("/opt/app-1.2/x_y", "/opt/app-1.2/x_y"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("~", "'~'"),
            ("$HOME", "'$HOME'"),
            ("a\nb", "'a\nb'"),
        ] {
            assert_eq!(sh_quote(word.as_bytes()), quoted.as_bytes(), "{word}");
        }
    }

    #[test]
    fn a_digit_after_an_encoded_byte_is_not_part_of_it() {
        assert_eq!(login_shell_text(b"\x017!\n'\\\xff%"), br"\00017\0041\n\0047\0134\0377%");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_shell_reads_back_what_was_quoted(bytes in proptest::collection::vec(1u8.., 0..200)) {
            prop_assert_eq!(shell_prints(&[b"printf %s ", sh_quote(&bytes).as_slice()].concat()), bytes);
        }

        #[test]
        fn printf_reads_back_what_was_encoded(bytes in proptest::collection::vec(1u8.., 0..200)) {
            let script = [b"printf %b '", login_shell_text(&bytes).as_slice(), b"'"].concat();
            prop_assert_eq!(shell_prints(&script), bytes);
        }
    }
}
