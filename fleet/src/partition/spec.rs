//! What is typed of a role: `web[type=c5.*]=50%,min=2`.
//!
//! Must not know any host.

use std::fmt;
use std::str::FromStr;

use fleet_core::inventory::role_variable;
use fleet_core::wildcard::Wildcard;

/// How a role is written, in words.
const EXPECTED: &str =
    "expected ROLE=NUMBER, ROLE=PERCENT% or ROLE=rest, then perhaps ,min=NUMBER, as in web=50%,min=2";

/// A role as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoleSpec {
    pub(crate) name: String,
    /// All of them have to hold for a host.
    pub(crate) conditions: Vec<Condition>,
    pub(crate) share: Share,
    /// No fewer hosts than this.
    pub(crate) min: usize,
}

/// How many hosts a role gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// So many.
    Number(usize),
    /// Hundredths of the hosts that the roles with a number leave.
    Percent(usize),
    /// All that the others leave.
    Rest,
}

/// What a host has to be: `type=c5.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) fact: String,
    typed: String,
    pub(crate) value: Wildcard,
}

/// Why what was typed is no role, or why the roles contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SpecError {
    #[error("\"{0}\" is not a role: {EXPECTED}")]
    Syntax(String),
    #[error("the role is called \"{0}\": expected ASCII letters, digits, \"_\", \".\" and \"-\", with a letter first")]
    Name(String),
    #[error("\"{0}\" is not a condition: expected FACT=VALUE, as in 'web[type=c5.*]=4'")]
    Condition(String),
    #[error("a role without hosts: expected a number or a percentage above 0 in \"{0}\"")]
    Nobody(String),
    #[error("\"{0}\": min is for a percentage or the rest, as a number is its own minimum")]
    NeedlessMin(String),
    #[error("the role {0} is given twice: expected each once")]
    Duplicate(String),
    #[error("both {0} and {1} take the rest: expected at most one =rest")]
    TwoRests(String, String),
    #[error("{0} and {1} would both be the variable {var}: expected names that differ in letters and digits", var = role_variable(.0))]
    SameVariable(String, String),
    #[error("the percentages of {roles} add up to {sum}%: expected at most 100%")]
    OverHundred { roles: String, sum: usize },
}

impl FromStr for RoleSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let syntax = || SpecError::Syntax(text.to_owned());
        // A value may have brackets of its own.
        let (role, share) = match text.find('[') {
            Some(bracket) if text.find('=').is_none_or(|equals| bracket < equals) => {
                let end = text.rfind("]=").ok_or_else(syntax)?;
                (&text[..=end], &text[end + 2..])
            }
            _ => text.split_once('=').ok_or_else(syntax)?,
        };
        let (name, conditions) = match role.strip_suffix(']').and_then(|role| role.split_once('[')) {
            Some((name, conditions)) => (name, conditions.split(',').map(str::parse).collect::<Result<_, _>>()?),
            None => (role, Vec::new()),
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if !(name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(is_plain)) {
            return Err(SpecError::Name(name.to_owned()));
        }
        let (share, min) = match share.split_once(",min=") {
            Some((share, min)) => (share, Some(min.parse().map_err(|_| syntax())?)),
            None => (share, None),
        };
        let number = |digits: &str| match digits.parse() {
            Ok(0) => Err(SpecError::Nobody(text.to_owned())),
            Ok(number) => Ok(number),
            Err(_) => Err(syntax()),
        };
        let share = match share.strip_suffix('%') {
            _ if share == "rest" => Share::Rest,
            Some(percent) => Share::Percent(number(percent)?),
            None => Share::Number(number(share)?),
        };
        let min = match (share, min) {
            (Share::Number(_), Some(_)) => return Err(SpecError::NeedlessMin(text.to_owned())),
            (Share::Number(number), None) => number,
            (_, min) => min.unwrap_or(1),
        };
        Ok(Self { name: name.to_owned(), conditions, share, min })
    }
}

impl FromStr for Condition {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let refused = || SpecError::Condition(text.to_owned());
        let (fact, value) =
            text.split_once('=').filter(|(fact, value)| !fact.is_empty() && !value.is_empty()).ok_or_else(refused)?;
        let value = Wildcard::parse(value).map_err(|_| refused())?;
        Ok(Self { fact: fact.to_owned(), typed: text.to_owned(), value })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.typed)
    }
}

/// Whether the roles can stand beside each other, whatever the hosts are.
pub(crate) fn check(roles: &[RoleSpec]) -> Result<(), SpecError> {
    for (place, role) in roles.iter().enumerate() {
        for other in &roles[..place] {
            let names = || (other.name.clone(), role.name.clone());
            if other.name == role.name {
                return Err(SpecError::Duplicate(role.name.clone()));
            }
            if role_variable(&other.name) == role_variable(&role.name) {
                return Err(SpecError::SameVariable(names().0, names().1));
            }
            if (other.share, role.share) == (Share::Rest, Share::Rest) {
                return Err(SpecError::TwoRests(names().0, names().1));
            }
        }
    }
    let percent = |role: &RoleSpec| match role.share {
        Share::Percent(percent) => Some((role.name.clone(), percent)),
        _ => None,
    };
    let (names, percents): (Vec<String>, Vec<usize>) = roles.iter().filter_map(percent).unzip();
    let sum = percents.iter().fold(0_usize, |sum, percent| sum.saturating_add(*percent));
    if sum > 100 { Err(SpecError::OverHundred { roles: names.join(", "), sum }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(texts: &[&str]) -> Vec<RoleSpec> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_role_has_a_share_a_minimum_and_conditions() {
        for (text, share, min, conditions) in [
            ("server=1", Share::Number(1), 1, ""),
            ("web=50%", Share::Percent(50), 1, ""),
            ("web=50%,min=2", Share::Percent(50), 2, ""),
            ("load-gen.a=rest,min=0", Share::Rest, 0, ""),
            ("web[type=c5.*]=4", Share::Number(4), 4, "type=c5.*"),
            ("web[type=c[56].*,tag:a=b]=rest", Share::Rest, 1, "type=c[56].* tag:a=b"),
        ] {
            let role: RoleSpec = text.parse().unwrap();
            let typed: Vec<String> = role.conditions.iter().map(ToString::to_string).collect();
            assert_eq!((role.share, role.min, typed.join(" ").as_str()), (share, min, conditions), "{text}");
            assert!(text.starts_with(&role.name));
        }
    }

    #[test]
    fn what_is_no_role_is_refused() {
        for (text, expected) in [
            ("", "is not a role"),
            ("web", "is not a role"),
            ("web=", "is not a role"),
            ("web=-1", "is not a role"),
            ("web=1,2", "is not a role"),
            ("web=5%,min=x", "is not a role"),
            ("web=some", "is not a role"),
            ("web[type=a=4", "is not a role"),
            ("web=0", "a role without hosts"),
            ("web=0%", "a role without hosts"),
            ("=1", "the role is called"),
            ("-a=1", "the role is called"),
            ("wéb=1", "the role is called"),
            ("a b=1", "the role is called"),
            ("web=2,min=1", "min is for"),
            ("web[]=4", "is not a condition"),
            ("web[type]=4", "is not a condition"),
            ("web[type=]=4", "is not a condition"),
            ("web[type=[a]=4", "is not a condition"),
        ] {
            let error = text.parse::<RoleSpec>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn roles_that_contradict_each_other_are_refused() {
        for (texts, expected) in [
            (&["a=1", "a=2"][..], "the role a is given twice"),
            (&["a=rest", "b=rest"], "both a and b take the rest"),
            (&["a-b=1", "a.B=1"], "a-b and a.B would both be the variable FLEET_HOSTS_A_B"),
            (&["a=60%", "b=41%"], "the percentages of a, b add up to 101%"),
        ] {
            let error = check(&roles(texts)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!(check(&roles(&["server=1", "a=50%", "b=50%", "c=rest"])), Ok(()));
    }
}
