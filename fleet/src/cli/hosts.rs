//! The flags of `fleet hosts` and `fleet classify`.
//!
//! Must not know what the hosts are.

use clap::Args;
use fleet_tool::cli::{ChooseArgs, SourceArgs};

/// What ends the help of `fleet hosts`.
const EXAMPLES: &str = "\
Formats:
  json          the same as --json
  ssh-config    blocks for ssh_config(5), with HostKeyAlias where addresses are reused
  ansible       an inventory in YAML, with groups, ansible_host, ansible_port and ansible_user
  hosts         lines for hosts(5), of the hosts that have an IP address
  TEMPLATE      a line for each host: '{name} {addr} {tag.Role}'; {{ and }} are braces
Placeholders:
  {host} {name} {user} {port} {addr} {id} {state} {index} {group} {groups} {source} {origin}
  {tag.KEY} {type} {az} {region} {vpc} {subnet} {image} {sg} {asg} and what else providers say
  What a host does not have is empty. Control characters are spelt out (\\n, \\x1b), but for --json.
Examples:
  fleet hosts -g web -x web07
  fleet hosts --fold '@web&@db' 'rack[1-4]-node[01-16]'
  fleet hosts -g tag:Role=web --format ssh-config > ~/.ssh/fleet.conf
  fleet hosts --groups";

/// The flags that choose hosts, with words that do not speak of running anything, and those for the form of the list.
#[derive(Clone, Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = EXAMPLES,
    mut_arg("hosts", |arg| arg.help("Take HOST: [user@]host[:port], ranges web[01-20], comma lists; repeatable")),
    mut_arg("host_files", |arg| arg.help("Take the hosts of FILE (- is standard input), or with -g its groups; repeatable")),
    mut_arg("groups", |arg| arg.help("Take the group NAME, or the known hosts that match a pattern; repeatable")),
    mut_arg("include_self", |arg| arg.help("Take this machine too, where it is one of the hosts")),
)]
pub(crate) struct HostsArgs {
    #[command(flatten)]
    pub(crate) choose: ChooseArgs,

    /// More hosts, as for -H: names, ranges, @groups, queries such as tag:Role=web
    #[arg(value_name = "EXPR")]
    pub(crate) expressions: Vec<String>,

    #[command(flatten)]
    pub(crate) form: FormArgs,
}

/// How the list looks.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct FormArgs {
    /// Print what is known of each host as JSON, one object a line
    #[arg(long, group = "form")]
    pub(crate) json: bool,

    /// Print the hosts in this format: ssh-config, ansible, hosts, json or a template
    #[arg(long, value_name = "FORMAT", group = "form")]
    pub(crate) format: Option<String>,

    /// Print the names, one a line
    #[arg(long, group = "form")]
    pub(crate) expand: bool,

    /// Print the names as one host set, such as web[01-20],db1
    #[arg(long, group = "form")]
    pub(crate) fold: bool,

    /// Print how many there are
    #[arg(long, group = "form")]
    pub(crate) count: bool,

    /// Print the table that a terminal gets, also into a pipe; with --groups their members too
    #[arg(long, conflicts_with_all = ["form", "why"])]
    pub(crate) long: bool,

    /// Print what chose each host, where it is known from, and what left others out; also with --json
    #[arg(long, conflicts_with_all = ["format", "expand", "fold", "count", "all_groups"])]
    pub(crate) why: bool,

    /// Print all known groups with their sources and sizes instead; also with --json
    #[arg(long = "groups", conflicts_with_all = ["format", "expand", "fold", "count"])]
    #[arg(conflicts_with_all = ["hosts", "groups", "exclude", "limit", "expressions"])]
    pub(crate) all_groups: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ClassifyArgs {
    /// The host: its name, its id, or its name in the DNS, as in its certificate
    #[arg(value_name = "HOST")]
    pub(crate) host: String,

    #[command(flatten)]
    pub(crate) sources: SourceArgs,
}
