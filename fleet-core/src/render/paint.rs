//! Colours: which, and whether at all.
//!
//! Must not know what is painted, nor the environment.

use super::settings::{Color, Destination};

/// A colour or weight of text: an SGR parameter (ECMA-48 section 8.3.117).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style(u8);

impl Style {
    pub(super) const BOLD: Self = Self(1);
    pub(super) const DIM: Self = Self(2);
    pub(super) const RED: Self = Self(31);
    pub(super) const GREEN: Self = Self(32);
    pub(super) const YELLOW: Self = Self(33);
    pub(super) const CYAN: Self = Self(36);
}

/// The colours of host names: readable on dark and light backgrounds, and none that means failure.
const HOST_STYLES: [Style; 10] =
    [Style(36), Style(32), Style(33), Style(35), Style(34), Style(96), Style(92), Style(93), Style(95), Style(94)];

/// Whether text to one destination is painted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    On,
    Off,
}

impl Paint {
    pub(super) fn new(color: Color, destination: Destination) -> Self {
        match color {
            Color::Always => Self::On,
            Color::Auto if destination.is_terminal() => Self::On,
            Color::Auto | Color::Never => Self::Off,
        }
    }

    /// `text` in `style`, where colours are on.
    pub(super) fn text(self, style: Style, text: &str) -> String {
        format!("{}{text}{}", self.start(style), self.end())
    }

    /// What comes before text in `style`.
    pub(super) fn start(self, style: Style) -> String {
        match self {
            Self::On => format!("\x1b[{}m", style.0),
            Self::Off => String::new(),
        }
    }

    /// What comes behind it.
    pub(super) fn end(self) -> &'static str {
        match self {
            Self::On => "\x1b[0m",
            Self::Off => "",
        }
    }
}

/// The style of a host's name: always the same for the same name, in every run.
pub(super) fn host_style(name: &str) -> Style {
    // FNV-1a, because the hash of the standard library may change with its version.
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let place = (hash ^ (hash >> 32)) % HOST_STYLES.len() as u64;
    HOST_STYLES[usize::try_from(place).unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> u16 {
        80
    }

    #[test]
    fn colours_go_to_terminals_unless_told_otherwise() {
        let terminal = Destination::Terminal { columns };
        for (color, destination, expected) in [
            (Color::Auto, terminal, Paint::On),
            (Color::Auto, Destination::Stream, Paint::Off),
            (Color::Always, Destination::Stream, Paint::On),
            (Color::Never, terminal, Paint::Off),
        ] {
            assert_eq!(Paint::new(color, destination), expected, "{color:?} {destination:?}");
        }
    }

    #[test]
    fn neighbours_differ_and_a_name_keeps_its_colour() {
        assert_eq!(host_style("web01"), host_style("web01"));
        let styles: Vec<Style> = (1..=20).map(|n| host_style(&format!("web{n:02}"))).collect();
        let same_as_before = styles.windows(2).filter(|pair| pair[0] == pair[1]).count();
        assert!(same_as_before <= 4, "{styles:?}");
    }
}
