//! A host's own name in its output.
//!
//! Must not ask anyone for other names of the host.

use std::net::IpAddr;

use super::scan::{Found, continues};
use crate::host::Host;

/// The forms of a host's name that are known, the longest first.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<String>);

impl Names {
    /// Those of a host named as `[user@]name[:port]`: that, without the port, the name, and its first label.
    pub(super) fn of(typed: &str) -> Self {
        let mut forms = vec![typed.to_owned()];
        if let Ok(host) = typed.parse::<Host>() {
            let name = host.name();
            forms.push(host.clone().with_port(None).to_string());
            forms.push(name.to_owned());
            let short = name.split('.').next().filter(|_| name.parse::<IpAddr>().is_err());
            forms.extend(short.filter(|short| short.bytes().any(|b| b.is_ascii_alphabetic())).map(str::to_owned));
        }
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        forms.dedup();
        Self(forms)
    }

    /// The longest of them at the start of `rest`, as a whole word in capital or small letters.
    pub(super) fn find(&self, before: Option<u8>, rest: &[u8]) -> Option<Found> {
        if before == Some(b'-') {
            return None;
        }
        let is_here = |form: &&String| {
            let Some((text, after)) = rest.split_at_checked(form.len()) else { return false };
            text.eq_ignore_ascii_case(form.as_bytes()) && !continues(after) && !after.starts_with(b"-")
        };
        self.0.iter().find(is_here).map(|form| Found::whole(form.len()))
    }
}
