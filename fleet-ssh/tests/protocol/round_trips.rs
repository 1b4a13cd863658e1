//! How often a client waits for a far host before its command's first output.

use fleet_core::event::Stream;
use fleet_core::outcome::Outcome;
use fleet_ssh::OutputSink;

use crate::support::{Distance, Job, World, open};

/// Identification, key exchange, service, question for the key, signature, channel, command. See docs/performance.md for
/// those that the protocol would let a client save.
const WAITS: usize = 7;

/// Looks at the line at the first output.
struct FirstOutput<'a>(&'a Distance, std::sync::Mutex<Option<usize>>);

impl OutputSink for FirstOutput<'_> {
    async fn output(&self, stream: Stream, _: bytes::Bytes) {
        if stream == Stream::Stdout {
            self.1.lock().unwrap().get_or_insert(self.0.flights());
        }
    }
}

#[tokio::test]
async fn the_first_output_comes_after_no_more_waits_than_the_library_needs() {
    let job = || Job::new("echo hi");
    // With input, a second channel watches over the command: that must not be waited for.
    for job in [job(), job().raw(), job().with_input(Vec::new())] {
        let world = World::one(&[]).await;
        let line = Distance::to(world.sandbox.host("web").unwrap().address).await;
        let options =
            [line.options().to_vec(), vec!["SetEnv=A=b C=d".to_owned(), "ForwardAgent=yes".to_owned()]].concat();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let session = open(&world.connector(&options), "web").await.unwrap();
        let sink = FirstOutput(&line, std::sync::Mutex::default());
        assert_eq!(job.run(&session, &sink).await, Outcome::Exited(0));
        assert_eq!(sink.1.into_inner().unwrap(), Some(WAITS), "{job:?}");
    }
}
