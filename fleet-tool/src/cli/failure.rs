//! Why a run cannot start or go on, and its one printer.
//!
//! Must not know what failed.

use std::error::Error;
use std::io::{self, Write};

use fleet_core::inventory::InventoryError;
use fleet_core::outcome::{self, ExitStatus};
use fleet_core::provider::ProviderError;
use fleet_core::render::RenderError;
use fleet_core::sanitize::sanitized;
use fleet_core::select::SelectError;
use fleet_core::settings::SettingsError;
use fleet_ssh::ConnectorError;
use fleet_ssh::config::ConfigError;

/// An error that ends the run: its text, its causes, what to do next, and the exit status.
#[derive(Debug)]
pub struct Failure {
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    status: ExitStatus,
}

impl Failure {
    /// A failure of usage, settings or inventory: nothing was contacted.
    pub fn usage(error: &(dyn Error + 'static)) -> Self {
        Self::of(error, ExitStatus::Usage)
    }

    /// The same from a text.
    pub fn usage_text(message: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new(), hint: None, status: ExitStatus::Usage }
    }

    /// What was said already, and only ends the process.
    pub(super) fn printed(status: ExitStatus) -> Self {
        Self { message: String::new(), causes: Vec::new(), hint: None, status }
    }

    /// A failure of ours.
    pub fn ours(error: &(dyn Error + 'static)) -> Self {
        Self::of(error, ExitStatus::OurFailure)
    }

    /// Something was left half done when the run was ended early.
    pub fn interrupted(error: &(dyn Error + 'static)) -> Self {
        Self::of(error, ExitStatus::Killed)
    }

    /// The same failure with what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What is wrong, with its causes, in one line.
    #[must_use]
    pub fn text(&self) -> String {
        self.causes.iter().fold(self.message.clone(), |text, cause| format!("{text}: {cause}"))
    }

    /// What to do next, where that is known.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// What the tool returns.
    #[must_use]
    pub fn status(&self) -> ExitStatus {
        self.status
    }

    /// Writes `program: error: ...`, a line for each cause, and the hint, all harmless: names of groups may be any text of a
    /// cloud. A terminal that is gone is no further error.
    pub fn print(&self, program: &str, mut to: impl Write) {
        let _ = self.write(program, &mut to);
    }

    fn write(&self, program: &str, to: &mut impl Write) -> io::Result<()> {
        if self.message.is_empty() {
            return Ok(());
        }
        writeln!(to, "{program}: error: {}", sanitized(&self.message))?;
        for cause in &self.causes {
            writeln!(to, "  caused by: {}", sanitized(cause))?;
        }
        if let Some(hint) = &self.hint {
            writeln!(to, "hint: {}", sanitized(hint))?;
        }
        to.flush()
    }

    fn of(error: &(dyn Error + 'static), status: ExitStatus) -> Self {
        let causes = outcome::causes(error).map(ToString::to_string).collect();
        Self { message: error.to_string(), causes, hint: None, status }
    }

    fn with_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::usage(&error).with_hint(error.hint())
    }
}

impl From<InventoryError> for Failure {
    fn from(error: InventoryError) -> Self {
        Self::usage(&error).with_hint(error.hint())
    }
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        Self::usage(&error).with_hint(error.hint())
    }
}

impl From<SelectError> for Failure {
    fn from(error: SelectError) -> Self {
        Self::usage(&error).with_hint(error.hint())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(&error)
    }
}

impl From<ConnectorError> for Failure {
    fn from(error: ConnectorError) -> Self {
        Self::usage(&error)
    }
}

impl From<RenderError> for Failure {
    fn from(error: RenderError) -> Self {
        Self::ours(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_prints_its_causes_and_what_to_do_next() {
        let source = io::Error::new(io::ErrorKind::NotFound, "no such file");
        let error = SettingsError::Read { path: "fleet.toml".into(), source };
        let mut printed = Vec::new();
        Failure::from(error).print("psh", &mut printed);
        let printed = String::from_utf8(printed).unwrap();
        assert_eq!(
            printed,
            "psh: error: cannot read the settings file fleet.toml\n  caused by: no such file\n\
             hint: check the path; FLEET_CONFIG names the file to use\n"
        );
    }

    #[test]
    fn what_a_failure_prints_is_obeyed_by_no_terminal() {
        let failure =
            Failure { causes: vec!["c\u{9b}31m".to_owned()], ..Failure::usage_text("a\u{1b}[2Jb").hint("x\u{7}\ny") };
        let mut printed = Vec::new();
        failure.print("psh", &mut printed);
        let printed = String::from_utf8(printed).unwrap();
        assert_eq!(printed, "psh: error: a\\x1b[2Jb\n  caused by: c\\u{9b}31m\nhint: x\\x07\ny\n");
    }
}
