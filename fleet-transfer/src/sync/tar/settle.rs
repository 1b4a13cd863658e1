//! What a stream of files cannot do, as calls of a script: `fleet_ssh::remote::tree_settle`.
//!
//! Must not know why it is done.

use fleet_ssh::remote::copy_name;

use crate::push::{push_calls, touch_time};

/// Something that is done to one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Removed; no folder.
    Gone(Vec<u8>),
    /// An empty folder is removed.
    Emptied(Vec<u8>),
    /// Given to `USER:GROUP`, as numbers.
    Owner(String, Vec<u8>),
    /// The lower 12 bits of its mode are set.
    Mode(u32, Vec<u8>),
    /// Its time is set, in seconds since 1970.
    Stamp(i64, Vec<u8>),
}

impl Step {
    fn call(&self) -> String {
        match self {
            Self::Gone(_) => "gone".to_owned(),
            Self::Emptied(_) => "emptied".to_owned(),
            Self::Owner(whose, _) => format!("owner {whose}"),
            Self::Mode(mode, _) => format!("mode {mode:o}"),
            Self::Stamp(secs, _) => format!("stamp {}", touch_time(*secs)),
        }
    }

    fn path(&self) -> &[u8] {
        let (Self::Gone(path)
        | Self::Emptied(path)
        | Self::Owner(_, path)
        | Self::Mode(_, path)
        | Self::Stamp(_, path)) = self;
        path
    }
}

/// The calls of the steps in their order, as few as may be, with the one that ends the script.
pub(super) fn calls(steps: &[Step]) -> Vec<u8> {
    let mut text = Vec::new();
    for alike in steps.chunk_by(|one, other| one.call() == other.call()) {
        push_calls(&mut text, alike[0].call().as_bytes(), alike.iter().map(|step| copy_name(step.path())));
    }
    text.extend_from_slice(b"settled\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_are_alike_are_one_call_and_names_are_no_options() {
        let steps = [
            Step::Gone(b"it's".into()),
            Step::Gone(b"-x".into()),
            Step::Emptied(b"a b".into()),
            Step::Mode(0o2755, b"c".into()),
            Step::Mode(0o644, b"d".into()),
            Step::Stamp(86_400, b".".into()),
            Step::Owner(":7".into(), b"e".into()),
        ];
        let expected = "gone 'it'\\''s' ./-x\nemptied 'a b'\nmode 2755 c\nmode 644 d\nstamp 197001020000.00 .\n\
                        owner :7 e\nsettled\n";
        assert_eq!(String::from_utf8(calls(&steps)).unwrap(), expected);
    }
}
