//! YAML as programs of other makers read it.
//!
//! Must not know what is written.

use std::io;

use serde::Serialize;
use serde_saphyr::SerializerOptions;

/// One document. Every text is quoted: what `yes`, `1e3` or `12:30` is without quotes depends on the reader.
///
/// # Errors
/// When the value has keys that are no texts.
pub(crate) fn document(value: &impl Serialize) -> io::Result<String> {
    let mut options = SerializerOptions::default();
    options.quote_all = true;
    let mut text = "---\n".to_owned();
    serde_saphyr::to_fmt_writer_with_options(&mut text, value, options).map_err(io::Error::other)?;
    Ok(text)
}
