//! The flags of `fleet partition`.
//!
//! Must not know how hosts are dealt out.

use clap::{Args, ValueEnum};
use fleet_tool::cli::ChooseArgs;

use crate::partition::RoleSpec;

/// What ends the help of `fleet partition`.
const EXAMPLES: &str = "\
Roles:
  server=1              one host
  web=50%               half of the hosts that the roles with a number leave; percentages are rounded so that their sum is right
  loadgen=rest          all that the others leave
  web=50%,min=2         no fewer than 2 hosts; without it no fewer than 1
  'web[type=c5.*]=4'    only hosts with this fact: type, az and what else providers say, tag:KEY, name, id, group; * and ?
Examples:
  fleet partition -g workers server=1 web=50% loadgen=rest
  fleet partition -g workers --by az web=50% loadgen=50% --dry-run
  eval \"$(fleet partition --show --format env)\"; echo $FLEET_HOSTS_WEB
  fleet partition --clear";

#[derive(Clone, Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = EXAMPLES,
    mut_arg("hosts", |arg| arg.help("Take HOST: [user@]host[:port], ranges web[01-20], comma lists; repeatable")),
    mut_arg("host_files", |arg| arg.help("Take the hosts of FILE (- is standard input), or with -g its groups; repeatable")),
    mut_arg("groups", |arg| arg.help("Take the group NAME, or the known hosts that match a pattern; repeatable")),
    mut_arg("include_self", |arg| arg.help("Take this machine too, where it is one of the hosts")),
)]
pub(crate) struct PartitionArgs {
    #[command(flatten)]
    pub(crate) choose: ChooseArgs,

    /// A role and how many hosts it gets: ROLE[FACT=VALUE,...]=NUMBER, PERCENT% or rest, then perhaps ,min=NUMBER
    #[arg(value_name = "ROLE=SHARE", required_unless_present_any = ["show", "clear"])]
    pub(crate) roles: Vec<RoleSpec>,

    /// Spread each role over the values of FACT, such as az
    #[arg(long, value_name = "FACT", requires = "roles", help_heading = "Roles")]
    pub(crate) by: Option<String>,

    /// Say which host would get which role, and keep nothing
    #[arg(long, requires = "roles", help_heading = "Roles")]
    pub(crate) dry_run: bool,

    /// Say which host has which role since the last partition
    #[arg(long, conflicts_with_all = ["roles", "clear"], help_heading = "Roles")]
    pub(crate) show: bool,

    /// Forget the last partition
    #[arg(long, conflicts_with_all = ["roles", "format"], help_heading = "Roles")]
    pub(crate) clear: bool,

    /// Print the roles in this format
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = PartitionForm::Table, help_heading = "Roles")]
    pub(crate) format: PartitionForm,
}

/// How the roles are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PartitionForm {
    /// A line for each role: its name, its size and its hosts
    Table,
    /// Variables for a shell: FLEET_RUN, FLEET_ROLES, and FLEET_HOSTS_ROLE with the addresses of each role
    Env,
    /// One JSON object
    Json,
    /// A host file, with each role as a group
    Hosts,
}
