//! `--owner` and `--mode`: whose the copies are, and who may do what with them.
//!
//! Must not know hosts.

use fleet_ssh::remote::Attributes;
use fleet_transfer::manifest::{Entry, EntryKind};

/// The bits by which a folder's owner, group and others can look into it.
const SEARCH_BITS: u32 = 0o111;
/// How far the bits of reading are from these.
const READ_TO_SEARCH: u32 = 2;

/// Why a text does not say whose something is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OwnerError {
    /// No accounts are so named.
    #[error("--owner takes accounts of the hosts, as USER, USER:GROUP or :GROUP, not \"{text}\"")]
    Owner {
        /// As typed.
        text: String,
    },
    /// It is no mode.
    #[error("--mode takes permission bits in octal, such as 644 or 0750, not \"{text}\"")]
    Mode {
        /// As typed.
        text: String,
    },
    /// It sets more than permissions.
    #[error("--mode {text} sets special bits (setuid, setgid, sticky), which only pcp --preserve keeps")]
    Special {
        /// As typed.
        text: String,
    },
}

/// Reads an owner, as `chown` takes it.
pub(crate) fn owner(text: &str) -> Result<String, OwnerError> {
    let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    let has_user = is_account(user) || (user.is_empty() && group.is_some());
    if has_user && group.is_none_or(is_account) {
        return Ok(text.to_owned());
    }
    Err(OwnerError::Owner { text: text.to_owned() })
}

/// Whether a text can be the name or number of an account: the names of POSIX, and those of directories (`DOMAIN\user`,
/// `user@domain`, a machine's with `$`).
fn is_account(text: &str) -> bool {
    let character = |c: char| c.is_alphanumeric() || "._-@\\$+".contains(c);
    !text.is_empty() && !text.starts_with('-') && text.chars().all(character)
}

/// Reads a mode. Special bits are kept only of copies that keep all of a mode.
pub(crate) fn mode(text: &str, attributes: Attributes) -> Result<u32, OwnerError> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777 && !text.starts_with('+'));
    match mode {
        None => Err(OwnerError::Mode { text: text.to_owned() }),
        Some(mode) if mode > 0o777 && attributes == Attributes::Permissions => {
            Err(OwnerError::Special { text: text.to_owned() })
        }
        Some(mode) => Ok(mode),
    }
}

/// Gives all files this mode, and folders the same with the right to look into them for whoever may read them.
pub(crate) fn set_mode(entries: &mut [Entry], mode: u32) {
    for entry in entries {
        match entry.kind {
            EntryKind::File { .. } => entry.mode = mode,
            EntryKind::Folder => entry.mode = mode | (mode >> READ_TO_SEARCH & SEARCH_BITS),
            EntryKind::Symlink { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_what_chown_takes() {
        for text in ["app", "1000:www-data", ":adm", "me@example.org", "DOMAIN\\me:x"] {
            assert_eq!(owner(text).unwrap(), text);
        }
        for text in ["", ":", "app:", "a:b:c", "-R", "app:-x", "a b", "a;b"] {
            assert!(owner(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_mode_is_octal_and_folders_can_be_entered_by_whoever_may_read_them() {
        for (text, file, folder) in
            [("644", 0o644, 0o755), ("0600", 0o600, 0o700), ("4750", 0o4750, 0o4750), ("0", 0, 0)]
        {
            let entry =
                |kind| Entry { path: "x".into(), source: "x".into(), kind, mode: 0o777, mtime: 0, uid: 0, gid: 0 };
            let mut entries = [
                entry(EntryKind::File { len: 0 }),
                entry(EntryKind::Folder),
                entry(EntryKind::Symlink { target: "y".into() }),
            ];
            set_mode(&mut entries, mode(text, Attributes::All).unwrap());
            assert_eq!(entries.map(|entry| entry.mode), [file, folder, 0o777], "{text}");
        }
        assert!(mode("755", Attributes::Permissions).is_ok());
        assert!(mode("1755", Attributes::Permissions).unwrap_err().to_string().contains("--preserve"));
        for text in ["", "8", "u+x", "+644", "-644", "10000", "0o644", "rw-r--r--"] {
            assert!(mode(text, Attributes::All).is_err(), "{text}");
        }
    }
}
