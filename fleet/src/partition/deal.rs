//! Which hosts each role gets.
//!
//! Values in, values out; no chance. Must not know where hosts come from, nor what becomes of the roles.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fleet_core::inventory::nearest;

use super::candidate::Candidate;
use super::shares::{TooFew, missing, shares};
use super::spec::{RoleSpec, Share};

/// Why there are not the hosts for the roles.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DealError {
    #[error(transparent)]
    TooFew(#[from] TooFew),
    #[error(
        "too few hosts with {conditions} for {role}: expected at least {needed}, got {found} that no other role has, so {} missing",
        missing(needed - found)
    )]
    NoneFits { role: String, conditions: String, needed: usize, found: usize },
    #[error("no chosen host has the fact \"{fact}\"; expected one of {known}{}", .nearest.as_ref().map_or(String::new(), |name| format!("; did you mean {name}?")))]
    UnknownFact { fact: String, known: String, nearest: Option<String> },
}

/// The places of the hosts of each role among `hosts`, which are in the order in which they are to be dealt out; both in the order
/// given. With `by`, each role's hosts are spread over the values of that fact as these are among all hosts.
pub(crate) fn deal(hosts: &[Candidate], roles: &[RoleSpec], by: Option<&str>) -> Result<Vec<Vec<usize>>, DealError> {
    let conditions = roles.iter().flat_map(|role| &role.conditions).map(|condition| condition.fact.as_str());
    for fact in conditions.chain(by) {
        check_fact(hosts, fact)?;
    }
    let counts = shares(roles, hosts.len())?;
    let order = by.map_or_else(|| (0..hosts.len()).collect(), |fact| spread(hosts, fact));
    let mut table = Table::new(hosts, roles, order);
    for (role, spec) in roles.iter().enumerate() {
        // The rest takes what is left when all others have theirs.
        let needed = if spec.share == Share::Rest { spec.min } else { counts[role] };
        for found in 0..needed {
            if !table.give(role) {
                let conditions = spec.conditions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
                return Err(DealError::NoneFits { role: spec.name.clone(), conditions, needed, found });
            }
        }
    }
    if let Some(rest) = roles.iter().position(|role| role.share == Share::Rest) {
        while table.give_free(rest) {}
    }
    Ok(table.dealt())
}

/// Refuses a fact that no host has: most likely it is mistyped.
fn check_fact(hosts: &[Candidate], fact: &str) -> Result<(), DealError> {
    if hosts.iter().any(|host| host.facts.contains_key(fact)) {
        return Ok(());
    }
    let known: BTreeSet<&str> = hosts.iter().flat_map(|host| host.facts.keys().map(String::as_str)).collect();
    let nearest = nearest(fact, known.iter().copied()).into_iter().next();
    let known = known.into_iter().collect::<Vec<_>>().join(", ");
    Err(DealError::UnknownFact { fact: fact.to_owned(), known, nearest })
}

/// The places of the hosts, mixed so that every stretch has of each value of the fact what all hosts have. Those without it are of a
/// value of their own.
fn spread(hosts: &[Candidate], fact: &str) -> Vec<usize> {
    let mut by_value: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
    for (place, host) in hosts.iter().enumerate() {
        let value = host.facts.get(fact).and_then(|values| values.first()).map(String::as_str);
        by_value.entry(value).or_default().push(place);
    }
    // The n-th of m hosts stands at (2n + 1) / 2m of the way.
    let mut placed: Vec<(u128, usize)> = Vec::new();
    for places in by_value.values() {
        let step = |n: usize| ((2 * n as u128 + 1) << 64) / (2 * places.len() as u128);
        placed.extend(places.iter().enumerate().map(|(n, place)| (step(n), *place)));
    }
    // Stable: of equal ones the first value comes first.
    placed.sort_by_key(|(way, _)| *way);
    placed.into_iter().map(|(_, place)| place).collect()
}

/// Hosts as they are being dealt out.
struct Table<'a> {
    hosts: &'a [Candidate],
    roles: &'a [RoleSpec],
    /// The places of the hosts, the first to be dealt first.
    order: Vec<usize>,
    /// The role of each host, by its place.
    role_of: Vec<Option<usize>>,
    /// Where in `order` each role goes on looking: no host becomes free again.
    next: Vec<usize>,
}

impl<'a> Table<'a> {
    fn new(hosts: &'a [Candidate], roles: &'a [RoleSpec], order: Vec<usize>) -> Self {
        Self { hosts, roles, order, role_of: vec![None; hosts.len()], next: vec![0; roles.len()] }
    }

    /// Gives a role one more host: a free one, or one of a role that can have another in its place.
    fn give(&mut self, role: usize) -> bool {
        // Who would take which host of whom, by the role that is robbed.
        let mut takers: Vec<Option<(usize, usize)>> = vec![None; self.roles.len()];
        let mut seen = vec![false; self.roles.len()];
        let mut queue = VecDeque::from([role]);
        seen[role] = true;
        while let Some(wanting) = queue.pop_front() {
            if self.give_free(wanting) {
                let mut robbed = wanting;
                while let Some((taker, host)) = takers[robbed] {
                    self.role_of[host] = Some(taker);
                    robbed = taker;
                }
                return true;
            }
            for other in 0..self.roles.len() {
                if !seen[other]
                    && let Some(host) = self.host_of(other, wanting)
                {
                    seen[other] = true;
                    takers[other] = Some((wanting, host));
                    queue.push_back(other);
                }
            }
        }
        false
    }

    /// Gives a role the first free host that it can have.
    fn give_free(&mut self, role: usize) -> bool {
        while let Some(&host) = self.order.get(self.next[role]) {
            self.next[role] += 1;
            if self.role_of[host].is_none() && self.fits(host, role) {
                self.role_of[host] = Some(role);
                return true;
            }
        }
        false
    }

    /// The last host of `owner` that `role` could have.
    fn host_of(&self, owner: usize, role: usize) -> Option<usize> {
        self.order.iter().rev().copied().find(|&host| self.role_of[host] == Some(owner) && self.fits(host, role))
    }

    fn fits(&self, host: usize, role: usize) -> bool {
        let facts = &self.hosts[host].facts;
        self.roles[role].conditions.iter().all(|condition| {
            facts.get(&condition.fact).is_some_and(|values| values.iter().any(|value| condition.value.matches(value)))
        })
    }

    fn dealt(&self) -> Vec<Vec<usize>> {
        let of = |role| (0..self.hosts.len()).filter(|&host| self.role_of[host] == Some(role)).collect();
        (0..self.roles.len()).map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::shares::tests::some_roles;
    use super::*;

    /// Hosts `h0`, `h1`, ... with these values of `az` and `type`.
    fn hosts(facts: &[(&str, &str)]) -> Vec<Candidate> {
        let host = |(n, (az, kind)): (usize, &(&str, &str))| Candidate {
            name: format!("h{n}"),
            facts: [("az", az), ("type", kind)]
                .map(|(fact, value)| (fact.to_owned(), [(*value).to_owned()].into()))
                .into(),
            ..Candidate::default()
        };
        facts.iter().enumerate().map(host).collect()
    }

    fn roles(texts: &[&str]) -> Vec<RoleSpec> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn hosts_are_dealt_in_order() {
        let dealt = deal(&hosts(&[("a", "t"); 6]), &roles(&["server=1", "web=2", "load=rest"]), None).unwrap();
        assert_eq!(dealt, [vec![0], vec![1, 2], vec![3, 4, 5]]);
    }

    #[test]
    fn a_role_yields_a_host_that_only_another_can_have() {
        let kinds = [("a", "big"), ("a", "small"), ("a", "big"), ("a", "small")];
        let dealt = deal(&hosts(&kinds), &roles(&["server=1", "web[type=b*]=2", "load=rest"]), None).unwrap();
        assert_eq!(dealt, [vec![1], vec![0, 2], vec![3]]);
        // Over a chain: a takes of b, which takes of c.
        let kinds = [("x", "1"), ("y", "1"), ("y", "2")];
        let dealt = deal(&hosts(&kinds), &roles(&["c=1", "b[az=y]=1", "a[type=1]=1"]), None).unwrap();
        assert_eq!(dealt.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1]);
    }

    #[test]
    fn the_rest_takes_only_what_it_can_have() {
        let kinds = [("a", "big"), ("a", "small"), ("a", "big")];
        let dealt = deal(&hosts(&kinds), &roles(&["one=1", "rest[type=big]=rest"]), None).unwrap();
        assert_eq!(dealt, [vec![0], vec![2]]);
    }

    #[test]
    fn what_is_missing_is_said() {
        let four = hosts(&[("a", "big"), ("a", "small"), ("a", "small"), ("a", "small")]);
        for (texts, by, expected) in [
            (
                &["web[type=big]=2"][..],
                None,
                "too few hosts with type=big for web: expected at least 2, got 1 that no other role has, so 1 is missing",
            ),
            (
                &["web[typ=big]=2"],
                None,
                "no chosen host has the fact \"typ\"; expected one of az, type; did you mean type?",
            ),
            (&["web=2"], Some("rack"), "no chosen host has the fact \"rack\""),
            (&["web=5"], None, "too few hosts for web=5: expected at least 5, got 4, so 1 is missing"),
        ] {
            let error = deal(&four, &roles(texts), by).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    proptest! {
        #[test]
        fn every_host_has_one_role_at_most_and_every_role_its_number(roles in some_roles(), count in 0_usize..60) {
            let hosts = hosts(&vec![("a", "t"); count]);
            let Ok(dealt) = deal(&hosts, &roles, None) else {
                prop_assert!(shares(&roles, count).is_err());
                return Ok(());
            };
            let counts = shares(&roles, count).unwrap();
            prop_assert_eq!(dealt.iter().map(Vec::len).collect::<Vec<_>>(), counts);
            let all: Vec<usize> = dealt.into_iter().flatten().collect();
            let distinct: BTreeSet<usize> = all.iter().copied().collect();
            prop_assert_eq!(all.len(), distinct.len());
        }

        #[test]
        fn hosts_that_can_be_found_for_conditions_are_found(
            kinds in prop::collection::vec((0_usize..3, 0_usize..3), 1..9),
            wanted in prop::collection::vec((0_usize..3, 0_usize..3), 1..4),
        ) {
            const NAMES: [&str; 3] = ["x", "y", "z"];
            let facts: Vec<_> = kinds.iter().map(|(az, kind)| (NAMES[*az], NAMES[*kind])).collect();
            // Role n wants one host of an az or, for the third, of any; and so for its type.
            let condition = |fact: &str, value: usize| if value == 2 { format!("{fact}=*") } else { format!("{fact}={}", NAMES[value]) };
            let texts: Vec<String> = (wanted.iter().enumerate())
                .map(|(n, (az, kind))| format!("r{n}[{},{}]=1", condition("az", *az), condition("type", *kind)))
                .collect();
            let roles = roles(&texts.iter().map(String::as_str).collect::<Vec<_>>());
            let fits = |role: usize, host: usize| {
                (wanted[role].0 == 2 || wanted[role].0 == kinds[host].0) && (wanted[role].1 == 2 || wanted[role].1 == kinds[host].1)
            };
            // By trying all.
            fn possible(role: usize, roles: usize, used: &mut Vec<bool>, fits: &dyn Fn(usize, usize) -> bool) -> bool {
                role == roles || (0..used.len()).any(|host| {
                    if used[host] || !fits(role, host) {
                        return false;
                    }
                    used[host] = true;
                    let found = possible(role + 1, roles, used, fits);
                    used[host] = false;
                    found
                })
            }
            let expected = possible(0, wanted.len(), &mut vec![false; kinds.len()], &fits);
            let dealt = deal(&hosts(&facts), &roles, None);
            prop_assert_eq!(dealt.is_ok(), expected, "{:?} of {:?}", texts, facts);
            for (role, places) in dealt.unwrap_or_default().iter().enumerate() {
                prop_assert!(places.len() == 1 && fits(role, places[0]));
            }
        }

        #[test]
        fn zones_of_one_size_are_in_every_role_alike(zones in 1_usize..5, each in 1_usize..12, cut in 1_usize..100) {
            const NAMES: [&str; 4] = ["a", "b", "c", "d"];
            let facts: Vec<_> = (0..zones * each).map(|n| (NAMES[n / each], "t")).collect();
            let texts = [format!("one={cut}%,min=0"), format!("two={}%,min=0", 100 - cut)];
            let roles = roles(&texts.each_ref().map(String::as_str));
            for places in deal(&hosts(&facts), &roles, Some("az")).unwrap() {
                let of = |zone: usize| places.iter().filter(|&&place| place / each == zone).count();
                let counts: Vec<usize> = (0..zones).map(of).collect();
                prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{:?}", counts);
            }
        }
    }
}
