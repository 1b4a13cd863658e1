//! Memory: what keeps the price of a session low.
//!
//! Must not know what a session is.

/// Asks for memory in small pages. Our allocator asks for huge ones where the system has them, and a huge page counts
/// whole as soon as one byte of it is used: a thousand sessions then take half as much again. Inherited by the
/// programs that we start, which is as good for them.
pub(crate) fn use_small_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "memory comes in huge pages");
    }
}
