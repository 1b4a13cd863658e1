//! A variable for a command on the hosts, out of `--env`.
//!
//! Must not know the command.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use fleet_ssh::remote::is_variable_name;

use super::Failure;

/// Reads `NAME=VALUE`.
///
/// # Errors
/// When it is none, or no shell has such a variable.
pub fn variable(text: OsString) -> Result<(String, Vec<u8>), Failure> {
    let bytes = text.into_vec();
    let found = || String::from_utf8_lossy(&bytes).into_owned();
    let refused = || {
        Failure::usage_text(format!("--env takes NAME=VALUE, not \"{}\"", found()))
            .hint("a name has letters, digits and _, and no digit first")
    };
    let at = bytes.iter().position(|&b| b == b'=').ok_or_else(refused)?;
    let name = std::str::from_utf8(&bytes[..at]).map_err(|_| refused())?;
    if !is_variable_name(name) {
        return Err(refused());
    }
    Ok((name.to_owned(), bytes[at + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_need_a_name_and_a_value() {
        assert_eq!(variable("A_1=b=c".into()).unwrap(), ("A_1".to_owned(), b"b=c".to_vec()));
        for text in ["A", "=x", "1A=x", "A-B=x", ""] {
            assert!(variable(text.into()).is_err(), "{text}");
        }
    }
}
