//! How much of an upload has been sent, in lines `progress BYTES` on standard error.
//!
//! Must not know what is sent, nor to whom.

use std::io::{self, Write as _};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// How often it is said.
const TELL_EVERY: Duration = Duration::from_millis(250);
/// What is handed to the connection at once, and counted then: a part would be sent in one piece otherwise.
const PIECE_BYTES: usize = 64 << 10;

/// What all the calls of one upload have sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<Sent>);

#[derive(Debug, Default)]
struct Sent {
    bytes: AtomicU64,
    told: Mutex<Option<Instant>>,
}

impl Progress {
    /// Counts what one call sends.
    pub(crate) fn of_call(&self) -> OfCall {
        OfCall { progress: self.clone(), bytes: Arc::default() }
    }

    fn add(&self, bytes: u64) {
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn tell_if_due(&self) {
        let is_due = self.0.told().is_none_or(|told| told.elapsed() >= TELL_EVERY);
        if is_due {
            self.tell();
        }
    }

    fn tell(&self) {
        *self.0.told() = Some(Instant::now());
        // Nobody may be listening.
        let _ = writeln!(io::stderr(), "progress {}", self.0.bytes.load(Ordering::Relaxed));
    }

    fn take_back(&self, bytes: u64) {
        self.0.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Sent {
    fn told(&self) -> MutexGuard<'_, Option<Instant>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one call has sent, in its present attempt.
#[derive(Clone, Debug)]
pub(crate) struct OfCall {
    progress: Progress,
    bytes: Arc<AtomicU64>,
}

impl OfCall {
    fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.progress.add(bytes);
    }

    /// What was sent is sent once more.
    fn start_over(&self) {
        self.progress.take_back(self.bytes.swap(0, Ordering::Relaxed));
    }

    fn counted(&self, body: SdkBody) -> SdkBody {
        SdkBody::from_body_1_x(Counted { body, piece: Bytes::new(), of: self.clone() })
    }
}

/// Behind the signature: that is of a body that is known whole.
impl Intercept for OfCall {
    fn name(&self) -> &'static str {
        "OfCall"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.start_over();
        let body = context.request_mut().body_mut();
        let whole = std::mem::replace(body, SdkBody::taken());
        *body = self.counted(whole);
        Ok(())
    }
}

/// A body that is counted piece by piece.
struct Counted {
    body: SdkBody,
    /// What has come of it and is not yet handed on.
    piece: Bytes,
    of: OfCall,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.piece.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)).map(|frame| Ok(frame?.into_data())) {
                Some(Ok(Ok(data))) => self.piece = data,
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let len = self.piece.len().min(PIECE_BYTES);
        let piece = self.piece.split_to(len);
        self.of.add(len as u64);
        match self.piece.is_empty() {
            // What follows may be long in coming.
            true => self.of.progress.tell(),
            false => self.of.progress.tell_if_due(),
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        let (body, kept) = (Body::size_hint(&self.body), self.piece.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + kept);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + kept);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures::executor::block_on;

    use super::*;

    #[test]
    fn what_is_sent_once_more_counts_once() {
        let progress = Progress::default();
        let (call, other) = (progress.of_call(), progress.of_call());
        other.add(7);
        for _attempt in 0..2 {
            call.start_over();
            let mut body = call.counted(SdkBody::from(vec![1; 2 * PIECE_BYTES + 1]));
            let mut pieces = Vec::new();
            while let Some(frame) = block_on(poll_fn(|context| Pin::new(&mut body).poll_frame(context))) {
                pieces.push(frame.unwrap().into_data().unwrap().len());
            }
            assert_eq!(pieces, [PIECE_BYTES, PIECE_BYTES, 1]);
            assert_eq!(progress.0.bytes.load(Ordering::Relaxed), 7 + 2 * PIECE_BYTES as u64 + 1);
        }
    }
}
