//! The flags of `fleet template`.
//!
//! Must not know what templates are made of.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use fleet_tool::cli::{EXIT_CODES_HELP, FleetArgs};
use pcp::PlacingArgs;

/// What ends the help of `fleet template`.
const EXAMPLES: &str = "\
Names in the template:
  self      the host: host, name, addr, user, port, index, count, group, groups, id, state, tags,
            facts, and in a role role, role_index and role_size
  hosts     the chosen hosts in their order, with the same
  roles     of each role of the last partition the hosts, with host, name, addr and index
  run       the run of that partition
Examples:
  fleet template nginx.conf.j2 /etc/nginx/nginx.conf -g web --sudo --then 'systemctl reload nginx'
  fleet template app.toml.j2 run/ -g web -D threads=8 --mode 600
  fleet template app.toml.j2 -g web --show

";

#[derive(Clone, Debug, Args)]
#[command(disable_help_flag = true, after_help = format!("{EXAMPLES}{EXIT_CODES_HELP}"))]
pub(crate) struct TemplateArgs {
    /// The template here, in the syntax of Jinja: minijinja renders it
    #[arg(value_name = "SRC")]
    pub(crate) source: PathBuf,

    /// The file on the hosts, or with a slash behind it the folder that gets it as SRC without .j2; in it stand {host},
    /// {group}, {role}, {index}, {count}, {addr}, {user} and {port}
    #[arg(value_name = "DEST", required_unless_present_any = ["show", "list"])]
    pub(crate) destination: Option<OsString>,

    #[command(flatten)]
    pub(crate) fleet: FleetArgs,

    /// Call VALUE by the name KEY in the template; repeatable
    #[arg(short = 'D', long = "set", value_name = "KEY=VALUE", value_parser = parse_value, help_heading = "Template")]
    pub(crate) values: Vec<(String, String)>,

    /// Print what each host would get, once for all that get the same, and contact none of them
    #[arg(long, conflicts_with_all = ["dry_run", "then"], help_heading = "Template")]
    pub(crate) show: bool,

    #[command(flatten)]
    pub(crate) placing: PlacingArgs,
}

fn parse_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected KEY=VALUE, as in threads=8")?;
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return Err(format!("{name:?} is no name: expected letters, digits and _, as in max_clients=100"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_names_that_a_template_can_use() {
        for (text, expected) in [
            ("a=b", Some(("a", "b"))),
            ("a_1=b=c", Some(("a_1", "b=c"))),
            ("a=", Some(("a", ""))),
            ("a", None),
            ("=b", None),
            ("1a=b", None),
            ("a-b=c", None),
        ] {
            let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(parse_value(text).ok(), expected, "{text}");
        }
    }
}
