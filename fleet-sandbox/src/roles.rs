//! How many hosts there are and what they are for: `server=1,web=5,loadgen=rest`, and the names that follow from it.
//!
//! Must not know addresses, keys or files.

use std::fmt;
use std::str::FromStr;

/// The role of the hosts of a sandbox that was given none.
pub const DEFAULT_ROLE: &str = "all";

/// Roles in the order given, each with a number of hosts; at most one takes the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roles {
    shares: Vec<(String, Share)>,
}

/// How many hosts a role takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Share {
    Exactly(usize),
    Rest,
}

/// A host as planned: its name and its role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedHost {
    /// Unique within the sandbox, such as `web03`.
    pub name: String,
    /// The group it belongs to, such as `web`.
    pub role: String,
}

/// Why roles and a number of hosts make no fleet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RolesError {
    /// Not `NAME=NUMBER` or `NAME=rest`.
    #[error("\"{0}\" is not a role: expected NAME=NUMBER or NAME=rest, as in web=5")]
    Syntax(String),
    /// A character that cannot stand in a host name.
    #[error(
        "the name \"{0}\" is not a host name: expected letters, digits, \"-\", \"_\" and \".\", with a letter first"
    )]
    Name(String),
    /// The same role twice, or two hosts of one name.
    #[error("the name \"{0}\" is given twice")]
    Duplicate(String),
    /// More than one role is to take the rest.
    #[error("both \"{0}\" and \"{1}\" take the rest: expected at most one =rest")]
    TwoRests(String, String),
    /// `=rest`, and no number of hosts.
    #[error("\"{0}=rest\" needs the number of all hosts")]
    RestOfNothing(String),
    /// The roles do not add up to the number of hosts.
    #[error("the roles take {taken} hosts of {hosts}: expected the same number, or one role with =rest")]
    Sum {
        /// The sum of the roles' numbers.
        taken: usize,
        /// The number of hosts asked for.
        hosts: usize,
    },
    /// Neither a number, nor roles, nor a name.
    #[error("a sandbox needs at least one host")]
    NoHost,
}

impl FromStr for Roles {
    type Err = RolesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut shares: Vec<(String, Share)> = Vec::new();
        for part in text.split(',').map(str::trim) {
            let syntax = || RolesError::Syntax(part.to_owned());
            let (name, number) = part.split_once('=').ok_or_else(syntax)?;
            check_name(name)?;
            let share = match number {
                "rest" => Share::Rest,
                digits => Share::Exactly(digits.parse().map_err(|_| syntax())?),
            };
            if shares.iter().any(|(other, _)| other == name) {
                return Err(RolesError::Duplicate(name.to_owned()));
            }
            let other_rest = shares.iter().find(|(_, other)| *other == Share::Rest);
            if let (Share::Rest, Some((other, _))) = (share, other_rest) {
                return Err(RolesError::TwoRests(other.clone(), name.to_owned()));
            }
            shares.push((name.to_owned(), share));
        }
        Ok(Self { shares })
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, share)) in self.shares.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match share {
                Share::Exactly(number) => write!(f, "{comma}{name}={number}")?,
                Share::Rest => write!(f, "{comma}{name}=rest")?,
            }
        }
        Ok(())
    }
}

impl Roles {
    /// Names `hosts` hosts, or as many as the roles say: `web01`, `web02`, with as many digits as the largest needs.
    ///
    /// # Errors
    /// When the roles take more or fewer than `hosts`, or the rest of a number that was not given.
    pub fn plan(&self, hosts: Option<usize>) -> Result<Vec<PlannedHost>, RolesError> {
        let taken: usize = self.shares.iter().map(|(_, share)| share.exactly()).sum();
        let rest = self.shares.iter().find(|(_, share)| *share == Share::Rest);
        let rest_hosts = match (rest, hosts) {
            (Some((role, _)), None) => return Err(RolesError::RestOfNothing(role.clone())),
            (Some(_), Some(hosts)) if hosts >= taken => hosts - taken,
            (None, None) => 0,
            (None, Some(hosts)) if hosts == taken => 0,
            (_, Some(hosts)) => return Err(RolesError::Sum { taken, hosts }),
        };
        let numbered = self.shares.iter().flat_map(|(role, share)| {
            let number = if *share == Share::Rest { rest_hosts } else { share.exactly() };
            number_hosts(role, role, number)
        });
        Ok(numbered.collect())
    }
}

impl Share {
    fn exactly(self) -> usize {
        match self {
            Self::Exactly(number) => number,
            Self::Rest => 0,
        }
    }
}

/// `hosts` hosts without roles: `host01`, `host02` in the group `all`.
pub(crate) fn plan_without_roles(hosts: usize) -> Vec<PlannedHost> {
    number_hosts("host", DEFAULT_ROLE, hosts)
}

/// Refuses what could not be a host name everywhere a sandbox writes it.
pub(crate) fn check_name(name: &str) -> Result<(), RolesError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(plain) {
        return Ok(());
    }
    Err(RolesError::Name(name.to_owned()))
}

fn number_hosts(prefix: &str, role: &str, hosts: usize) -> Vec<PlannedHost> {
    let width = hosts.to_string().len().max(2);
    (1..=hosts).map(|number| PlannedHost { name: format!("{prefix}{number:0width$}"), role: role.to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(roles: &str, hosts: Option<usize>) -> Vec<String> {
        let planned = roles.parse::<Roles>().unwrap().plan(hosts).unwrap();
        planned.into_iter().map(|host| host.name).collect()
    }

    #[test]
    fn hosts_are_named_by_role_and_number() {
        assert_eq!(
            names("server=1,web=2,loadgen=rest", Some(5)),
            ["server01", "web01", "web02", "loadgen01", "loadgen02"]
        );
        assert_eq!(names("web=2", None), ["web01", "web02"]);
        assert_eq!(names("web=1,spare=rest", Some(1)), ["web01"]);
        assert_eq!(names("web=100", None)[0], "web001");
    }

    #[test]
    fn roles_that_make_no_fleet_are_refused() {
        for (text, error) in [
            ("", RolesError::Syntax(String::new())),
            ("web", RolesError::Syntax("web".into())),
            ("web=", RolesError::Syntax("web=".into())),
            ("web=-1", RolesError::Syntax("web=-1".into())),
            ("web=1,", RolesError::Syntax(String::new())),
            ("=1", RolesError::Name(String::new())),
            ("a b=1", RolesError::Name("a b".into())),
            ("../x=1", RolesError::Name("../x".into())),
            ("web=1,web=2", RolesError::Duplicate("web".into())),
            ("a=rest,b=rest", RolesError::TwoRests("a".into(), "b".into())),
        ] {
            assert_eq!(text.parse::<Roles>(), Err(error), "{text}");
        }
    }

    #[test]
    fn roles_must_add_up() {
        let roles: Roles = "server=1,web=5".parse().unwrap();
        assert_eq!(roles.plan(Some(20)), Err(RolesError::Sum { taken: 6, hosts: 20 }));
        let rest: Roles = "server=3,web=rest".parse().unwrap();
        assert_eq!(rest.plan(Some(2)), Err(RolesError::Sum { taken: 3, hosts: 2 }));
        assert_eq!(rest.plan(None), Err(RolesError::RestOfNothing("web".into())));
    }

    #[test]
    fn roles_display_as_they_parse() {
        let text = "server=1,web=5,loadgen=rest";
        assert_eq!(text.parse::<Roles>().unwrap().to_string(), text);
    }
}
