//! Memory: what keeps the price of a session low.
//!
//! Must not know what a session is.

/// Asks for memory in small pages. Our allocator asks for huge ones where the system has them, and a huge page counts
/// whole as soon as one byte of it is used: a thousand sessions then take half as much again. Inherited by the
/// programs that we start, which is as good for them. To be called first of all: pages that are there already stay as
/// they are.
pub fn use_small_pages() {
    // Where it is refused, sessions only take more memory.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}
