//! Ctrl-C before a run: while other programs are asked it only says that they are to end, otherwise it does as ever.
//!
//! A process has one disposition of a signal, so this is the one thing here that is process-wide. Must not know who is asked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use fleet_core::fanout::is_ignored;

/// While this value lives, SIGINT, SIGTERM and SIGHUP do not end the process.
#[derive(Debug)]
#[must_use]
pub struct Interruption {
    signals: &'static Signals,
}

/// What the handlers look at and set.
#[derive(Debug)]
struct Signals {
    /// One has come.
    came: Arc<AtomicBool>,
    /// They do what they would by themselves.
    as_ever: Arc<AtomicBool>,
    /// A run has begun, which looks after them.
    handed_over: AtomicBool,
}

static SIGNALS: OnceLock<Signals> = OnceLock::new();

impl Interruption {
    /// From now on. A signal that the process was started to ignore stays ignored.
    pub fn watch() -> Self {
        let signals = SIGNALS.get_or_init(Signals::install);
        signals.as_ever.store(false, Ordering::SeqCst);
        Self { signals }
    }

    /// Becomes true with the first signal.
    #[must_use]
    pub fn flag(&self) -> &AtomicBool {
        &self.signals.came
    }

    /// From now on the signals are somebody else's, who has handlers of their own.
    pub fn hand_over() {
        if let Some(signals) = SIGNALS.get() {
            signals.handed_over.store(true, Ordering::SeqCst);
            signals.as_ever.store(false, Ordering::SeqCst);
        }
    }
}

impl Drop for Interruption {
    fn drop(&mut self) {
        self.signals.as_ever.store(!self.signals.handed_over.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

impl Signals {
    fn install() -> Self {
        let signals = Self { came: Arc::default(), as_ever: Arc::default(), handed_over: AtomicBool::new(false) };
        for signal in [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(*signal)) {
            // Without a handler the signal ends us at once, and what we asked only at its deadline.
            let _ = flag::register(signal, Arc::clone(&signals.came));
            let _ = flag::register_conditional_default(signal, Arc::clone(&signals.as_ever));
        }
        signals
    }
}
