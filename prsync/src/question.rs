//! The question whether more may be deleted than `--max-delete` allows.
//!
//! Hosts are found one after the other to be beyond it. The first of them asks at once; those that are found while its
//! question is open wait, and are named in the next one: an answer is about the hosts that it names and no other. Must not
//! know how it is found out what would be deleted.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fleet_core::hostset;

use crate::safety::{Excess, MostDeleted};

/// How many kinds of hosts a question tells apart.
const MAX_KINDS: usize = 3;
/// How long the list of hosts of a kind may be.
const MAX_NAMES_CHARS: usize = 60;

/// Shows a question and reads what is answered. Blocks.
pub(crate) type Ask = Arc<dyn Fn(&str) -> io::Result<String> + Send + Sync>;

/// Asks once for all hosts that wait.
pub(crate) struct Question {
    ask: Ask,
    most: MostDeleted,
    waiting: Mutex<Vec<(String, Excess)>>,
    /// What was answered about hosts that have not heard of it yet. Who holds it asks.
    answers: tokio::sync::Mutex<HashMap<String, bool>>,
}

impl Question {
    pub(crate) fn new(ask: Ask, most: MostDeleted) -> Self {
        Self { ask, most, waiting: Mutex::default(), answers: tokio::sync::Mutex::default() }
    }

    /// Whether so much may be deleted on this host. Whoever is dropped while it asks has the answer of all it asks for
    /// be no.
    pub(crate) async fn is_allowed(&self, host: &str, excess: Excess) -> bool {
        lock(&self.waiting).push((host.to_owned(), excess));
        let mut answers = self.answers.lock().await;
        if let Some(answer) = answers.remove(host) {
            return answer;
        }
        let asked = std::mem::take(&mut *lock(&self.waiting));
        let (ask, text) = (Arc::clone(&self.ask), text(&asked, self.most));
        let answer = tokio::task::spawn_blocking(move || ask(&text)).await;
        let is_yes = |answer: String| matches!(answer.trim().to_lowercase().as_str(), "y" | "yes");
        let is_allowed = answer.is_ok_and(|answer| answer.is_ok_and(is_yes));
        answers.extend(asked.into_iter().map(|(host, _)| (host, is_allowed)));
        answers.remove(host).unwrap_or(false)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `more than 50% would be deleted (web[01-02]: 30 of 40, 75%; web3: 9 of 9, 100%); go on with 3 hosts? [y/N] `
fn text(asked: &[(String, Excess)], most: MostDeleted) -> String {
    let mut kinds: Vec<(Excess, Vec<&str>)> = Vec::new();
    for (host, excess) in asked {
        match kinds.iter_mut().find(|(known, _)| known == excess) {
            Some((_, names)) => names.push(host),
            None => kinds.push((*excess, vec![host])),
        }
    }
    kinds.sort_by_key(|(excess, _)| std::cmp::Reverse(excess.percent()));
    let mut said: Vec<String> = kinds
        .iter()
        .take(MAX_KINDS)
        .map(|(excess, names)| {
            let Excess { deleted, there } = excess;
            let names = hostset::fold_limited(names, MAX_NAMES_CHARS);
            format!("{names}: {deleted} of {there}, {}%", excess.percent())
        })
        .collect();
    let others: usize = kinds.iter().skip(MAX_KINDS).map(|(_, names)| names.len()).sum();
    if others > 0 {
        said.push(format!("{others} more hosts"));
    }
    let hosts = if asked.len() == 1 { "1 host".to_owned() } else { format!("{} hosts", asked.len()) };
    format!("more than {}% would be deleted ({}); go on with {hosts}? [y/N] ", most.0, said.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_says_which_hosts_would_lose_how_much() {
        let excess = |deleted, there| Excess { deleted, there };
        let host = |name: &str, excess| (name.to_owned(), excess);
        for (asked, expected) in [
            (
                vec![host("web1", excess(3, 4))],
                "more than 50% would be deleted (web1: 3 of 4, 75%); go on with 1 host? [y/N] ",
            ),
            (
                vec![host("web1", excess(3, 4)), host("db", excess(9, 9)), host("web2", excess(3, 4))],
                "more than 50% would be deleted (db: 9 of 9, 100%; web[1-2]: 3 of 4, 75%); go on with 3 hosts? [y/N] ",
            ),
            (
                (5..10).map(|lost| host(&format!("a{lost}"), excess(lost, 10))).collect(),
                "more than 50% would be deleted (a9: 9 of 10, 90%; a8: 8 of 10, 80%; a7: 7 of 10, 70%; 2 more hosts); \
                 go on with 5 hosts? [y/N] ",
            ),
        ] {
            assert_eq!(text(&asked, MostDeleted(50)), expected);
        }
    }

    #[tokio::test]
    async fn hosts_that_come_while_a_question_is_open_are_in_the_next_one_together() {
        let (asked, mut questions) = tokio::sync::mpsc::unbounded_channel();
        let (answer, answers) = std::sync::mpsc::channel::<&str>();
        let answers = Mutex::new(answers);
        let ask: Ask = Arc::new(move |text| {
            asked.send(text.to_owned()).unwrap();
            lock(&answers).recv().map(str::to_owned).map_err(io::Error::other)
        });
        let question = Question::new(ask, MostDeleted(50));
        let excess = Excess { deleted: 3, there: 4 };
        let first = question.is_allowed("web1", excess);
        // Polled in this order: the others wait when the first question is answered.
        let others = async { tokio::join!(question.is_allowed("web2", excess), question.is_allowed("web3", excess)) };
        let person = async {
            let mut heard = vec![questions.recv().await.unwrap()];
            answer.send(" No ").unwrap();
            heard.push(questions.recv().await.unwrap());
            answer.send("YES").unwrap();
            heard
        };
        let (first, others, heard) = tokio::join!(first, others, person);
        assert_eq!((first, others), (false, (true, true)));
        assert!(heard[0].contains("(web1: 3 of 4, 75%)") && heard[1].contains("(web[2-3]: 3 of 4, 75%)"), "{heard:?}");
        // Nobody is there any more.
        drop(answer);
        assert!(!question.is_allowed("web4", excess).await);
    }
}
