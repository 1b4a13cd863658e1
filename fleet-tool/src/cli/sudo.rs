//! Who works on the hosts, out of `--sudo` and `--ask-sudo`.
//!
//! Must not know the work.

use fleet_ssh::Secret;
use fleet_ssh::remote::SudoUser;

use super::Failure;

/// What the flags say, as tools record it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SudoRequest<'a> {
    /// The user that is named.
    pub user: Option<&'a str>,
    /// Whether a password is to be asked for, which implies root where no user is named.
    pub asks: bool,
}

impl SudoRequest<'_> {
    /// Whether another user works than the one who logs in.
    #[must_use]
    pub fn is_made(self) -> bool {
        self.user.is_some() || self.asks
    }

    /// Who works, unless the user who logs in does.
    ///
    /// # Errors
    /// When the name cannot be that of a user.
    pub fn user(self) -> Result<Option<SudoUser>, Failure> {
        match self.user {
            Some(name) => {
                SudoUser::new(name).map(Some).map_err(|error| Failure::usage_text(format!("--sudo: {error}")))
            }
            None => Ok(self.asks.then(SudoUser::root)),
        }
    }

    /// Whether a password is asked for.
    #[must_use]
    pub fn password(self) -> SudoPassword {
        if self.asks { SudoPassword::Ask } else { SudoPassword::None }
    }
}

/// The password of the hosts' `sudo`.
#[derive(Clone, Debug, Default)]
pub enum SudoPassword {
    /// Nobody is asked for it.
    #[default]
    None,
    /// To be asked for once, before the run.
    Ask,
    /// It was asked for.
    Known(Secret),
}

impl SudoPassword {
    /// The answer, where there was a question.
    #[must_use]
    pub fn known(&self) -> Option<&Secret> {
        match self {
            Self::Known(secret) => Some(secret),
            Self::None | Self::Ask => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_for_root_unless_a_user_is_named() {
        let root = || Some(SudoUser::root());
        for (user, asks, expected) in [
            (None, false, None),
            (None, true, root()),
            (Some("root"), false, root()),
            (Some("app"), true, Some(SudoUser::new("app").unwrap())),
        ] {
            let request = SudoRequest { user, asks };
            assert_eq!(request.user().unwrap(), expected, "{request:?}");
            assert_eq!(request.is_made(), expected.is_some(), "{request:?}");
            assert_eq!(matches!(request.password(), SudoPassword::Ask), asks, "{request:?}");
        }
        assert!(SudoRequest { user: Some("-u"), asks: false }.user().is_err());
    }
}
