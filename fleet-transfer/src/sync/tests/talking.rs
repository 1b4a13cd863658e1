//! When what is said, and in how many pieces.
use bytes::Bytes;

use super::*;

/// Takes all, and says what it has to say while it takes the list.
struct Answers<'a> {
    conversation: &'a Conversation,
    answer: Bytes,
    sent: AtomicUsize,
}

impl Uplink for Answers<'_> {
    async fn send(&self, _: Bytes) -> bool {
        // The first is the greeting.
        if self.sent.fetch_add(1, Ordering::Relaxed) == 1 {
            self.conversation.received(self.answer.clone()).await;
            // Whoever waits for us takes it meanwhile.
            tokio::task::yield_now().await;
        }
        true
    }

    async fn progress(&self, _: u64) {}
}

#[tokio::test]
async fn what_comes_while_the_last_is_sent_is_looked_at() {
    let place = Place::new();
    let sync = Sync::prepare(SyncPlan { compression: Compression::Off, ..place.plan() }).unwrap();
    let conversation = Conversation::new(&sync, Pass::Plan);
    let greeting = [&[31, 0, 0, 0, 0x2a][..], &sync.seed.to_le_bytes()].concat();
    conversation.received(greeting.into()).await;
    // A frame of data: done, five times. Nothing comes after it.
    let answer = Bytes::from_static(b"\x05\0\0\x07\0\0\0\0\0");
    let uplink = Answers { conversation: &conversation, answer, sent: AtomicUsize::new(0) };
    tokio::time::timeout(PATIENCE, conversation.run(&uplink)).await.expect("it ends");
    let end = conversation.finish();
    assert!(end.complete && end.failure.is_none(), "{end:?}");
}

#[tokio::test]
async fn small_files_go_together() {
    let place = Place::new();
    fs::create_dir(place.host(0)).unwrap();
    for number in 0..1000 {
        let name = format!("{number:04}");
        fs::write(place.source().join(&name), format!("the content of {number}")).unwrap();
        fs::write(place.host(0).join(&name), "old").unwrap();
    }
    let sync = Sync::prepare(place.plan()).unwrap();
    let driven = drive(Arc::clone(&sync), place.host(0), Vec::new()).await;
    driven.is_well();
    assert_eq!((driven.end.files_sent, place.differences(0)), (1000, String::new()));
    assert!(driven.pieces < 200, "{} pieces were sent", driven.pieces);
}
