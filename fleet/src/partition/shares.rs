//! How many hosts each role gets.
//!
//! Numbers in, numbers out. Must not know which hosts these are.

use super::spec::{RoleSpec, Share};

/// `1 is`, `2 are`.
pub(super) fn missing(number: usize) -> String {
    format!("{number} {}", if number == 1 { "is" } else { "are" })
}

/// There are fewer hosts than the roles need at least.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too few hosts for {needs}: expected at least {needed}, got {hosts}, so {} missing", missing(needed - hosts))]
pub(crate) struct TooFew {
    /// `server=1, web at least 2`.
    needs: String,
    needed: usize,
    hosts: usize,
}

/// How many of `hosts` each role gets, in the order of `roles`; with a role for the rest, or percentages that add up to 100, the
/// sum is `hosts`. Largest remainders decide who gets a host that percentages divide; of equal ones the first role. A
/// minimum is met by the rest, then by the percentages that are furthest above their own.
pub(crate) fn shares(roles: &[RoleSpec], hosts: usize) -> Result<Vec<usize>, TooFew> {
    let needed: usize = roles.iter().fold(0_usize, |sum, role| sum.saturating_add(role.min));
    if needed > hosts {
        let need = |role: &RoleSpec| match role.share {
            Share::Number(number) => format!("{}={number}", role.name),
            _ => format!("{} at least {}", role.name, role.min),
        };
        let needs = roles.iter().filter(|role| role.min > 0).map(need).collect::<Vec<_>>().join(", ");
        return Err(TooFew { needs, needed, hosts });
    }
    let fixed: usize = roles.iter().map(|role| if let Share::Number(number) = role.share { number } else { 0 }).sum();
    let left = hosts - fixed;
    let mut counts = rounded(roles, left);
    let rest = roles.iter().position(|role| role.share == Share::Rest);
    for (count, role) in counts.iter_mut().zip(roles) {
        *count = (*count).max(role.min);
    }
    // The rest has no more than its minimum yet: what is too much was rounded, or raised to a minimum.
    while counts.iter().sum::<usize>() > hosts {
        let above = |place: &usize| counts[*place] - roles[*place].min;
        // Of equal ones the last gives.
        let Some(giver) = (0..counts.len()).filter(|place| above(place) > 0).max_by_key(above) else { break };
        counts[giver] -= 1;
    }
    if let Some(rest) = rest {
        counts[rest] += hosts - counts.iter().sum::<usize>();
    }
    Ok(counts)
}

/// The numbers, and the percentages of `left`, by largest remainder.
fn rounded(roles: &[RoleSpec], left: usize) -> Vec<usize> {
    let percent = |role: &RoleSpec| if let Share::Percent(percent) = role.share { percent } else { 0 };
    // In hundredths of hosts, which a u128 holds for any number of them.
    let hundredths = |role: &RoleSpec| percent(role) as u128 * left as u128;
    let whole = |hundredths: u128| usize::try_from(hundredths / 100).unwrap_or(usize::MAX);
    let count = |role: &RoleSpec| if let Share::Number(number) = role.share { number } else { whole(hundredths(role)) };
    let mut counts: Vec<usize> = roles.iter().map(count).collect();
    let wanted = whole(roles.iter().map(hundredths).sum());
    let given: usize = roles.iter().map(|role| whole(hundredths(role))).sum();
    let mut by_remainder: Vec<usize> = (0..roles.len()).filter(|&place| percent(&roles[place]) > 0).collect();
    by_remainder.sort_by_key(|&place| std::cmp::Reverse(hundredths(&roles[place]) % 100));
    for place in by_remainder.into_iter().take(wanted - given) {
        counts[place] += 1;
    }
    counts
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts(texts: &[&str], hosts: usize) -> Result<Vec<usize>, String> {
        let roles: Vec<RoleSpec> = texts.iter().map(|text| text.parse().unwrap()).collect();
        shares(&roles, hosts).map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_come_first_then_percentages_then_the_rest() {
        for (texts, hosts, expected) in [
            (&["server=1", "web=50%", "loadgen=rest"][..], 21, &[1, 10, 10][..]),
            (&["server=1", "web=50%", "loadgen=50%"], 20, &[1, 10, 9]),
            (&["a=33%", "b=33%", "c=34%"], 10, &[3, 3, 4]),
            (&["a=50%", "b=25%"], 10, &[5, 2]),
            (&["a=10%,min=2", "b=90%"], 5, &[2, 3]),
            (&["a=10%,min=2", "b=rest"], 5, &[2, 3]),
            (&["a=99%", "b=1%"], 3, &[2, 1]),
            (&["a=100%", "b=rest"], 3, &[2, 1]),
            (&["a=100%", "b=rest,min=0"], 3, &[3, 0]),
            (&["a=2"], 5, &[2]),
        ] {
            assert_eq!(counts(texts, hosts).unwrap(), expected, "{texts:?} of {hosts}");
        }
    }

    #[test]
    fn too_few_hosts_are_said_with_what_is_missing() {
        let error = counts(&["server=2", "web=50%,min=3", "loadgen=rest"], 4).unwrap_err();
        assert_eq!(
            error,
            "too few hosts for server=2, web at least 3, loadgen at least 1: expected at least 6, got 4, so 2 are missing"
        );
    }

    /// Roles whose percentages add up to no more than 100.
    pub(crate) fn some_roles() -> impl Strategy<Value = Vec<RoleSpec>> {
        let numbers = prop::collection::vec(1_usize..4, 0..3);
        let percents = prop::collection::vec((1_usize..34, 0_usize..4), 0..3);
        (numbers, percents, prop::option::of(0_usize..3)).prop_map(|(numbers, percents, rest)| {
            let numbers = numbers.into_iter().enumerate().map(|(n, number)| format!("n{n}={number}"));
            let percents = percents.into_iter().enumerate().map(|(n, (share, min))| format!("p{n}={share}%,min={min}"));
            let rest = rest.map(|min| format!("rest=rest,min={min}"));
            numbers.chain(percents).chain(rest).map(|text| text.parse().unwrap()).collect()
        })
    }

    proptest! {
        #[test]
        fn minimums_and_numbers_hold_and_the_rest_is_all_of_it(roles in some_roles(), hosts in 0_usize..200) {
            let needed: usize = roles.iter().map(|role| role.min).sum();
            let Ok(counts) = shares(&roles, hosts) else {
                prop_assert!(needed > hosts);
                return Ok(());
            };
            prop_assert!(needed <= hosts);
            let sum: usize = counts.iter().sum();
            prop_assert!(sum <= hosts);
            if roles.iter().any(|role| role.share == Share::Rest) {
                prop_assert_eq!(sum, hosts);
            }
            for (role, count) in roles.iter().zip(counts) {
                prop_assert!(count >= role.min);
                if let Share::Number(number) = role.share {
                    prop_assert_eq!(count, number);
                }
            }
        }

        #[test]
        fn percentages_of_a_hundred_take_every_host_and_are_off_by_less_than_one(cut in 1_usize..100, hosts in 2_usize..500) {
            let roles: Vec<RoleSpec> =
                [cut, 100 - cut].iter().zip(["a", "b"]).map(|(share, name)| format!("{name}={share}%,min=0").parse().unwrap()).collect();
            let counts = shares(&roles, hosts).unwrap();
            prop_assert_eq!(counts.iter().sum::<usize>(), hosts);
            prop_assert!((counts[0] * 100).abs_diff(cut * hosts) < 100);
        }
    }
}
