//! Which names someone may have meant who typed another.
//!
//! Must not know what the names stand for.

/// At least this alike, from 0 to 1, to be worth showing: half of the longer name.
const ALIKE: f64 = 0.5;

/// At most three of `candidates` that look like `typed`, the most alike first.
#[must_use]
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let typed = typed.to_lowercase();
    let mut alike: Vec<(f64, &str)> = candidates
        .into_iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(&typed, &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .collect();
    alike.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    alike.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}

/// `nearest`, names that are alike, as a question; `None` where there is none.
#[must_use]
pub fn did_you_mean(nearest: &[String]) -> Option<String> {
    (!nearest.is_empty()).then(|| format!("did you mean {}?", nearest.join(" or ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_names_come_first_and_others_not_at_all() {
        let known = ["web", "webs", "loadgen", "db"];
        for (typed, names) in [
            ("wbe", vec!["web", "webs"]),
            ("Web", vec!["web", "webs"]),
            ("load-gen", vec!["loadgen"]),
            ("xyz", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(nearest(typed, known), names, "{typed}");
        }
    }
}
